// What becomes of moments between the passes: merged over samples, kept as
// running statistics, and turned back into a gradient of the input.

#include <algorithm>
#include <cmath>
#include <vector>

#include "moments.h"

namespace {

// As torch.lerp.
void lerp(float* values, const float* ends, Index size, float weight) {
  for (Index k = 0; k < size; ++k) {
    const float way = ends[k] - values[k];
    values[k] = weight < 0.5f ? values[k] + weight * way
                              : ends[k] - (1 - weight) * way;
  }
}

}  // namespace

extern "C" {

void merge_samples(const Moments* sample, Index samples, Index groups,
                   Index rows, const Moments* batch) {
  const Index square = rows * rows;
  std::vector<double> mean(rows), cov(square);
  for (Index g = 0; g < groups; ++g) {
    std::fill(mean.begin(), mean.end(), 0.0);
    std::fill(cov.begin(), cov.end(), 0.0);
    for (Index n = 0; n < samples; ++n)
      for (Index i = 0; i < rows; ++i)
        mean[i] += sample->mean[(n * groups + g) * rows + i];
    for (double& value : mean) value /= samples;
    for (Index n = 0; n < samples; ++n) {
      const float* means = sample->mean + (n * groups + g) * rows;
      const float* covs = sample->cov + (n * groups + g) * square;
      for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < rows; ++j)
          cov[i * rows + j] += covs[i * rows + j] +
                               (means[i] - mean[i]) * (means[j] - mean[j]);
    }
    std::copy(mean.begin(), mean.end(), batch->mean + g * rows);
    for (Index k = 0; k < square; ++k)
      batch->cov[g * square + k] = cov[k] / samples;
  }
}

// B = (dC + dC^T) / count, d = dm / count - B m.
void moments_backward(const Moments* moments, const Moments* gradients,
                      Index groups, Index rows, double count, float* B,
                      float* d) {
  const Index square = rows * rows;
  const float scale = 1 / count;
  for (Index g = 0; g < groups; ++g) {
    const float* mean = moments->mean + g * rows;
    const float* d_cov = gradients->cov + g * square;
    float* slope = B + g * square;
    for (Index i = 0; i < rows; ++i) {
      float shift = scale * gradients->mean[g * rows + i];
      for (Index j = 0; j < rows; ++j) {
        const float value = scale * (d_cov[i * rows + j] + d_cov[j * rows + i]);
        slope[i * rows + j] = value;
        // The mean of a statistic that a hard choice leaves out may be NaN.
        if (value != 0) shift -= value * mean[j];
      }
      d[g * rows + i] = shift;
    }
  }
}

// A group whose statistics are not finite keeps its old values. `count`, which
// may be null, is the number of batches so far; their mean is kept where
// momentum is negative, and then a batch counts as a whole or not at all.
void update_running(const Moments* batch, Index groups, Index rows,
                    double momentum, const Moments* running, Index* count) {
  const Index square = rows * rows;
  std::vector<bool> finite(groups);
  Index found = 0;
  for (Index g = 0; g < groups; ++g) {
    const float* mean = batch->mean + g * rows;
    const float* cov = batch->cov + g * square;
    float check = 0;
    for (Index i = 0; i < rows; ++i) check += mean[i];
    for (Index k = 0; k < square; ++k) check += cov[k];
    finite[g] = std::isfinite(check);
    found += finite[g];
  }
  const bool cumulative = momentum < 0;
  if (cumulative ? found < groups : !found) return;
  if (count) ++*count;
  const float weight = cumulative ? 1.0 / *count : momentum;
  for (Index g = 0; g < groups; ++g) {
    if (!finite[g]) continue;
    lerp(running->mean + g * rows, batch->mean + g * rows, rows, weight);
    lerp(running->cov + g * square, batch->cov + g * square, square, weight);
  }
}

}  // extern "C"
