// The mixture, backward.
#pragma once

#include "mixture.h"

// Turns the gradients of the mixed moments into those of the sample's, in
// place, and adds up those of the batch's and of the ratios.
class MixtureBackward {
 public:
  MixtureBackward(const Stage& stage, const Mixture& mixture, Moments mixed,
                  Moments batch)
      : stage_(stage),
        mixture_(mixture),
        mixed_(mixed),
        batch_(batch),
        d_means_(stage.ratio_groups),
        d_covs_(stage.ratio_groups) {}

  void sample(Index n) {
    double d_layer_mean = 0, d_layer_variance = 0;
    for (Index g = 0; g < stage_.groups; ++g) {
      d_layer_mean += group_mean(n, g);
      d_layer_variance += group_cov(n, g);
    }
    // Where a hard choice leaves ln out, the sample's mean may be NaN.
    if (d_layer_mean != 0 || d_layer_variance != 0)
      layer(n, d_layer_mean, d_layer_variance);
  }

  const RatioGradients& d_means() const { return d_means_; }
  const RatioGradients& d_covs() const { return d_covs_; }

 private:
  Index ratio_group(Index group) const {
    return group / (stage_.groups / stage_.ratio_groups);
  }
  Index row(Index n, Index group) const {
    return (n * stage_.groups + group) * stage_.rows;
  }

  // Returns the gradient of the mean of ln.
  double group_mean(Index n, Index g) {
    const Ratios& w = mixture_.mean_ratios(g);
    auto& d_ratio = d_means_[ratio_group(g)];
    const float own = w[kIw] + w[kIn], shared = w[kBw] + w[kBn];
    double total = 0;
    for (Index i = 0; i < stage_.rows; ++i) {
      const Index at = row(n, g) + i, batch_at = g * stage_.rows + i;
      const float gradient = mixed_.mean[at];
      total += gradient;
      if (own != 0) {
        const double part = gradient * stage_.sample.mean[at];
        d_ratio[kIw] += part;
        d_ratio[kIn] += part;
      }
      if (shared != 0) {
        const double part = gradient * stage_.batch.mean[batch_at];
        d_ratio[kBw] += part;
        d_ratio[kBn] += part;
      }
      if (batch_.mean) batch_.mean[batch_at] += scaled(shared, gradient);
      mixed_.mean[at] = scaled(own, gradient);
    }
    if (w[kLn] != 0) d_ratio[kLn] += total * mixture_.layer(n).mean;
    return scaled(w[kLn], total);
  }

  // Returns the gradient of the variance of ln.
  double group_cov(Index n, Index g) {
    const Ratios& w = mixture_.cov_ratios(g);
    auto& d_ratio = d_covs_[ratio_group(g)];
    const Index rows = stage_.rows, square = stage_.square();
    float* mixed = mixed_.cov + row(n, g) * rows;
    const float* own = stage_.sample.cov_from(row(n, g) * rows);
    const float* shared = stage_.batch.cov_from(g * square);
    float* d_shared = batch_.cov_from(g * square);
    double trace = 0;
    for (Index k = 0; k < square; k += rows + 1) {
      trace += mixed[k];
      if (w[kIn] != 0) d_ratio[kIn] += mixed[k] * own[k];
      if (w[kBn] != 0) {
        d_ratio[kBn] += mixed[k] * shared[k];
        d_shared[k] += w[kBn] * mixed[k];
      }
    }
    for (Index k = 0; k < square; ++k) {
      if (w[kIw] != 0) d_ratio[kIw] += mixed[k] * own[k];
      if (w[kBw] != 0) {
        d_ratio[kBw] += mixed[k] * shared[k];
        d_shared[k] += w[kBw] * mixed[k];
      }
      const float share = w[kIw] + (k % (rows + 1) == 0 ? w[kIn] : 0);
      mixed[k] = scaled(share, mixed[k]);
    }
    if (w[kLn] != 0) d_ratio[kLn] += trace * mixture_.layer(n).variance;
    return scaled(w[kLn], trace);
  }

  void layer(Index n, double d_mean, double d_variance) {
    const Index channels = stage_.groups * stage_.rows;
    for (Index i = n * channels; i < (n + 1) * channels; ++i) {
      const Index diagonal = i * stage_.rows + i % stage_.rows;
      const double offset = stage_.sample.mean[i] - mixture_.layer(n).mean;
      mixed_.mean[i] += (d_mean + 2 * d_variance * offset) / channels;
      mixed_.cov[diagonal] += d_variance / channels;
    }
  }

  // Zero where there is no share, whatever the value.
  template <typename Value>
  static Value scaled(float share, Value value) {
    return share != 0 ? share * value : 0;
  }

  const Stage& stage_;
  const Mixture& mixture_;
  Moments mixed_, batch_;
  RatioGradients d_means_, d_covs_;
};
