// The small-matrix stage of ops/backends/torch/transform.py: from moments to A and b of
// y = A x + b, and back.

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "mixture.h"
#include "mixture_backward.h"
#include "newton.h"
#include "registers.h"
#include "views.h"

namespace {

// What a thread needs to whiten a group and to walk back.
class Group {
 public:
  explicit Group(const Stage& stage)
      : mean(stage.rows),
        S(stage.square()),
        W(stage.square()),
        dW(stage.square()),
        newton_(stage.rows, stage.steps),
        memory_(stage.rows > 1 ? newton_.memory_size() : 1) {
    if (stage.rows > 1) newton_.clear(memory_.data());
  }

  void take(const Moments& given, Index group) {
    std::copy_n(given.mean + group * mean.size(), mean.size(), mean.begin());
    std::copy_n(given.cov + group * W.size(), W.size(), W.begin());
  }

  void whiten(const Mixture& mixture, Index sample, Index group) {
    mixture.mean(sample, group, mean.data());
    mixture.cov(sample, group, S.data());
    if (S.size() == 1)
      W[0] = 1 / std::sqrt(S[0]);
    else
      newton_.forward(S.data(), W.data(), memory_.data());
  }

  // dS from dW.
  void whiten_backward(float* dS) {
    if (S.size() == 1)
      dS[0] = -0.5f * dW[0] * W[0] / S[0];
    else
      newton_.backward(dW.data(), dS, memory_.data());
  }

  std::vector<float> mean, S, W, dW;

 private:
  Newton newton_;
  Scratch memory_;
};

// Runs work(group's memory, item) for every group of every sample.
template <typename Work>
void for_each_item(const Stage& stage, int threads, const Work& work) {
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    Group memory(stage);
#pragma omp for
    for (Index item = 0; item < stage.samples * stage.groups; ++item)
      work(memory, item);
  }
}

// A = diag(weight) W of one channel slot.
void fold_weight(const Stage& stage, const Group& work, Index group,
                 Index slot, float* A) {
  const float* weight = stage.parameters.weight;
  for (Index i = 0; i < stage.rows; ++i) {
    const float factor = weight ? weight[stage.channel(group, i, slot)] : 1;
    for (Index j = 0; j < stage.rows; ++j)
      A[i * stage.rows + j] = factor * work.W[i * stage.rows + j];
  }
}

// b = bias - A mean
void fold_bias(const Stage& stage, const Group& work, Index group, Index slot,
               const float* A, float* b) {
  const float* bias = stage.parameters.bias;
  for (Index i = 0; i < stage.rows; ++i) {
    float total = 0;
    for (Index j = 0; j < stage.rows; ++j)
      total += A[i * stage.rows + j] * work.mean[j];
    b[i] = (bias ? bias[stage.channel(group, i, slot)] : 0) - total;
  }
}

// Adds what one channel slot passes back to W, mean, weight and bias; takes
// the gradient of A less the part that b has in it.
void fold_backward(const Stage& stage, Group& work, Index group, Index slot,
                   const float* dA, const float* db, const float* A,
                   float* d_mean, float* d_weight, float* d_bias) {
  const float* weight = stage.parameters.weight;
  for (Index i = 0; i < stage.rows; ++i) {
    const Index channel = stage.channel(group, i, slot);
    const float factor = weight ? weight[channel] : 1;
    float d_factor = 0;
    for (Index j = 0; j < stage.rows; ++j) {
      const Index k = i * stage.rows + j;
      const float gradient = dA[k] - db[i] * work.mean[j];
      d_factor += gradient * work.W[k];
      work.dW[k] += factor * gradient;
      d_mean[j] -= A[k] * db[i];
    }
    if (d_weight) d_weight[channel] = d_factor;
    if (d_bias) d_bias[channel] = db[i];
  }
}

void sum_samples(const std::vector<float>& parts, Index samples,
                 float* total) {
  const Index channels = parts.size() / samples;
  for (Index c = 0; c < channels; ++c) {
    double sum = 0;
    for (Index n = 0; n < samples; ++n) sum += parts[n * channels + c];
    total[c] = sum;
  }
}

// Nanoseconds, with some matrix products a Newton step.
double time_of(const Stage& stage, Index products) {
  const double square = stage.square();
  double group = square * (4 + 2 * stage.slots);
  if (stage.rows > 1)
    group += time_of_products(products * stage.steps * square * stage.rows);
  return group * stage.samples * stage.groups;
}

}  // namespace

extern "C" {

// A (samples, groups * slots, rows, rows), b and W, as Coefficients.
void transform(const Stage* stage, float* A, float* b, float* W, int threads) {
  const Mixture mixture(*stage);
  threads = useful_threads(time_of(*stage, 3), threads);
  for_each_item(*stage, threads, [&](Group& work, Index item) {
    const Index group = item % stage->groups;
    if (stage->given)
      work.take(stage->batch, group);
    else
      work.whiten(mixture, item / stage->groups, group);
    std::copy(work.W.begin(), work.W.end(), W + item * stage->square());
    for (Index slot = 0; slot < stage->slots; ++slot) {
      const Index entry = item * stage->slots + slot;
      float* matrix = A + entry * stage->square();
      fold_weight(*stage, work, group, slot, matrix);
      fold_bias(*stage, work, group, slot, matrix, b + entry * stage->rows);
    }
  });
}

// A once more, and the gradients; those that are null are not wanted.
// d_sample is never null: it holds the gradients of the mixed moments first.
void transform_backward(const Stage* stage, const float* dA, const float* db,
                        float* A, const Moments* d_sample,
                        const Moments* d_batch, const Parameters* gradients,
                        int threads) {
  const Mixture mixture(*stage);
  const Index items = stage->samples * stage->groups;
  const Index channels = stage->channels();
  std::vector<float> d_weight(stage->samples * channels);
  std::vector<float> d_bias(stage->samples * channels);
  std::fill_n(d_sample->mean, items * stage->rows, 0.0f);
  threads = useful_threads(time_of(*stage, 9), threads);
  for_each_item(*stage, threads, [&](Group& work, Index item) {
    const Index sample = item / stage->groups, group = item % stage->groups;
    if (stage->given)
      work.take(stage->batch, group);
    else
      work.whiten(mixture, sample, group);
    std::fill(work.dW.begin(), work.dW.end(), 0.0f);
    for (Index slot = 0; slot < stage->slots; ++slot) {
      const Index entry = item * stage->slots + slot;
      float* matrix = A + entry * stage->square();
      fold_weight(*stage, work, group, slot, matrix);
      fold_backward(*stage, work, group, slot, dA + entry * stage->square(),
                    db + entry * stage->rows, matrix,
                    d_sample->mean + item * stage->rows,
                    d_weight.data() + sample * channels,
                    d_bias.data() + sample * channels);
    }
    if (!stage->given)
      work.whiten_backward(d_sample->cov + item * stage->square());
  });
  for (const auto& [total, parts] : {std::pair{gradients->weight, &d_weight},
                                     std::pair{gradients->bias, &d_bias}})
    if (total) sum_samples(*parts, stage->samples, total);
  if (stage->given) return;
  if (d_batch->mean) {
    std::fill_n(d_batch->mean, stage->groups * stage->rows, 0.0f);
    std::fill_n(d_batch->cov, stage->groups * stage->square(), 0.0f);
  }
  MixtureBackward back(*stage, mixture, *d_sample, *d_batch);
  for (Index n = 0; n < stage->samples; ++n) back.sample(n);
  if (gradients->mean_logits) {
    logit_gradients(*stage, mixture.mean_ratios(), back.d_means(),
                    gradients->mean_logits);
    logit_gradients(*stage, mixture.cov_ratios(), back.d_covs(),
                    gradients->cov_logits);
  }
}

}  // extern "C"
