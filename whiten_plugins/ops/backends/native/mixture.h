// Statistics and their mixture.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "moments.h"
#include "registers.h"

enum Statistic { kIw, kIn, kLn, kBw, kBn, kStatistics };
using Ratios = std::array<float, kStatistics>;

// The structures are mirrored in library.py; null stands for what is absent.

struct Parameters {
  float *weight, *bias;             // (channels)
  float *mean_logits, *cov_logits;  // (ratio_groups, num_logits)
};

struct Stage {
  Index samples, groups, rows;
  Index slots;  // channels of a row that have weights of their own
  Index ratio_groups, num_logits;
  Index position[kStatistics];  // among the logits; -1: not active
  Index steps, hard;
  Index given;  // the batch's covariance is its whitening matrix already
  double eps;
  Moments sample, batch;
  Parameters parameters;

  Index square() const { return rows * rows; }
  Index channels() const { return groups * rows * slots; }
  Index channel(Index group, Index row, Index slot) const {
    return (group * rows + row) * slots + slot;
  }
};

// ---- importance ratios ----

// Of one group of ratios: a softmax over the active statistics, or one-hot.
inline Ratios ratios_of(const Stage& stage, const float* logits) {
  Ratios ratios{};
  float largest = -INFINITY, total = 0;
  Index first = -1;
  for (Index k = 0; k < kStatistics; ++k) {
    if (stage.position[k] < 0) continue;
    if (!logits) ratios[k] = 1;  // there is only one
    const float logit = logits ? logits[stage.position[k]] : 0;
    // NaN wins, as in torch; of equals the first in the order of the logits.
    const bool ahead = first < 0 || logit > largest || std::isnan(logit) ||
                       (logit == largest &&
                        stage.position[k] < stage.position[first]);
    if (ahead && !std::isnan(largest)) largest = logit, first = k;
  }
  if (!logits) return ratios;
  for (Index k = 0; k < kStatistics; ++k) {
    if (stage.position[k] < 0) continue;
    ratios[k] = stage.hard ? k == first
                           : std::exp(logits[stage.position[k]] - largest);
    total += ratios[k];
  }
  for (float& ratio : ratios) ratio /= total;
  return ratios;
}

inline std::vector<Ratios> all_ratios(const Stage& stage,
                                      const float* logits) {
  std::vector<Ratios> ratios(stage.ratio_groups);
  for (Index r = 0; r < stage.ratio_groups; ++r)
    ratios[r] =
        ratios_of(stage, logits ? logits + r * stage.num_logits : nullptr);
  return ratios;
}

// By group of ratios.
using RatioGradients = std::vector<std::array<double, kStatistics>>;

// Gradients of the logits from those of the ratios.
inline void logit_gradients(const Stage& stage,
                            const std::vector<Ratios>& ratios,
                            const RatioGradients& grads, float* d_logits) {
  std::fill_n(d_logits, stage.ratio_groups * stage.num_logits, 0.0f);
  if (stage.hard) return;
  for (Index r = 0; r < stage.ratio_groups; ++r) {
    double mean = 0;
    for (Index k = 0; k < kStatistics; ++k)
      mean += ratios[r][k] * grads[r][k];
    for (Index k = 0; k < kStatistics; ++k)
      if (stage.position[k] >= 0)
        d_logits[r * stage.num_logits + stage.position[k]] =
            ratios[r][k] * (grads[r][k] - mean);
  }
}

// ---- the mixture ----

// ln of a sample: over all its channels and elements.
struct Layer {
  float mean, variance;
};

inline std::vector<Layer> layers_of(const Stage& stage) {
  std::vector<Layer> layers(stage.samples);
  if (stage.position[kLn] < 0) return layers;
  const Index channels = stage.groups * stage.rows;
  for (Index n = 0; n < stage.samples; ++n) {
    const float* mean = stage.sample.mean + n * channels;
    const float* cov = stage.sample.cov + n * channels * stage.rows;
    double total = 0, square = 0;
    for (Index i = 0; i < channels; ++i) total += mean[i];
    const double center = total / channels;
    for (Index i = 0; i < channels; ++i) {
      const double offset = mean[i] - center;
      square += cov[i * stage.rows + i % stage.rows] + offset * offset;
    }
    layers[n] = {static_cast<float>(center),
                 static_cast<float>(square / channels)};
  }
  return layers;
}

// Mixes the moments of a group of a sample. What has no share is not read:
// after a hard choice it may be NaN.
class Mixture {
 public:
  explicit Mixture(const Stage& stage)
      : stage_(stage),
        mean_ratios_(all_ratios(stage, stage.parameters.mean_logits)),
        cov_ratios_(all_ratios(stage, stage.parameters.cov_logits)),
        layers_(layers_of(stage)) {}

  const Ratios& mean_ratios(Index group) const {
    return mean_ratios_[group / (stage_.groups / stage_.ratio_groups)];
  }
  const Ratios& cov_ratios(Index group) const {
    return cov_ratios_[group / (stage_.groups / stage_.ratio_groups)];
  }
  const std::vector<Ratios>& mean_ratios() const { return mean_ratios_; }
  const std::vector<Ratios>& cov_ratios() const { return cov_ratios_; }
  const Layer& layer(Index sample) const { return layers_[sample]; }

  void mean(Index sample, Index group, float* out) const {
    const Ratios& w = mean_ratios(group);
    const Index at = group * stage_.rows, own = index(sample, at);
    for (Index i = 0; i < stage_.rows; ++i) {
      out[i] = 0;
      if (w[kIw] + w[kIn] != 0)
        out[i] += (w[kIw] + w[kIn]) * stage_.sample.mean[own + i];
      if (w[kLn] != 0) out[i] += w[kLn] * layers_[sample].mean;
      if (w[kBw] + w[kBn] != 0)
        out[i] += (w[kBw] + w[kBn]) * stage_.batch.mean[at + i];
    }
  }

  // With eps on the diagonal.
  void cov(Index sample, Index group, float* out) const {
    const Ratios& w = cov_ratios(group);
    const Index rows = stage_.rows, square = stage_.square();
    const float* own =
        stage_.sample.cov_from(index(sample, group * rows) * rows);
    const float* batch = stage_.batch.cov_from(group * square);
    std::fill_n(out, square, 0.0f);
    for (const auto& [share, from] : {std::pair{w[kIw], own},
                                      std::pair{w[kBw], batch}})
      if (share != 0)
        for (Index k = 0; k < square; ++k) out[k] += share * from[k];
    for (Index k = 0; k < square; k += rows + 1) {
      if (w[kIn] != 0) out[k] += w[kIn] * own[k];
      if (w[kLn] != 0) out[k] += w[kLn] * layers_[sample].variance;
      if (w[kBn] != 0) out[k] += w[kBn] * batch[k];
      out[k] += static_cast<float>(stage_.eps);
    }
  }

 private:
  Index index(Index sample, Index row) const {
    return sample * stage_.groups * stage_.rows + row;
  }

  const Stage& stage_;
  std::vector<Ratios> mean_ratios_, cov_ratios_;
  std::vector<Layer> layers_;
};
