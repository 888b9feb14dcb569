// Parts of a norm that depend on no other: what a thread takes through all
// steps while it is in its cache.
#pragma once

#include <algorithm>

#include "norm.h"

constexpr Index kUnitFloats = 1 << 16;

// Some samples and groups, as a norm of its own.
struct Unit {
  Index sample, group;  // the first of them
  Norm norm;

  // Where the unit begins.
  Index input() const {
    return sample * norm.stride + group * norm.rows() * norm.length;
  }
  Index mean() const { return group * norm.rows(); }
  Index cov() const { return mean() * norm.rows(); }

  Moments of(const Moments& moments) const {
    if (!moments.mean) return moments;
    return {moments.mean + mean(), moments.cov + cov()};
  }
};

class Units {
 public:
  Units(const Norm& norm, int available) : norm_(norm), threads(available) {
    const Stage& stage = norm.stage;
    samples_ = norm.samples;
    groups_ = stage.groups;
    // Forward and backward pass twice over what is in memory.
    threads = useful_threads(time_of_pass(2 * norm.floats(), norm.rows()),
                             available);
    const bool groups_apart =
        stage.position[kLn] < 0 && stage.ratio_groups == 1;
    const bool samples_apart = norm.own && !norm.tracks;
    if (groups_apart)
      groups_ = share(stage.groups, norm.floats() / stage.groups);
    if (samples_apart && groups_ == stage.groups)
      samples_ = share(norm.samples, norm.floats() / norm.samples);
    else if (samples_apart)
      samples_ = 1;
    if (count() < 2 * threads && count() % threads) {
      samples_ = norm.samples;
      groups_ = stage.groups;
    }
  }

  Index count() const {
    return blocks(norm_.samples, samples_) *
           blocks(norm_.stage.groups, groups_);
  }

  Unit operator[](Index k) const {
    const Index across = blocks(norm_.stage.groups, groups_);
    Unit unit{k / across * samples_, k % across * groups_, norm_};
    Norm& norm = unit.norm;
    norm.samples = std::min(samples_, norm_.samples - unit.sample);
    norm.stage.groups = std::min(groups_, norm_.stage.groups - unit.group);
    if (norm_.own) norm.stage.samples = norm.samples;
    return unit;
  }

 private:
  static Index blocks(Index total, Index size) {
    return (total + size - 1) / size;
  }
  // How many of `total` of some floats each a unit takes.
  Index share(Index total, Index floats) const {
    return std::clamp<Index>(kUnitFloats / std::max<Index>(floats, 1), 1,
                             blocks(total, threads));
  }

  const Norm& norm_;
  Index samples_, groups_;

 public:
  int threads;
};
