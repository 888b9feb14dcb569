// The forward and the backward of a norm, each in one call: the steps of the
// other files one after the other, for parts of the input that fit the cache
// where these do not depend on one another.

#include <algorithm>
#include <vector>

#include "norm.h"
#include "steps.h"
#include "units.h"

namespace {

// What a forward and a backward read.
struct Inputs {
  const float* x;
  Parameters parameters;
  Moments running;
  float* state;
};

Stage stage_of(const Norm& norm, const Inputs& inputs) {
  Stage stage = norm.stage;
  stage.sample = norm.sample(inputs.state);
  stage.batch = norm.tracks ? norm.batch(inputs.state) : inputs.running;
  stage.parameters = inputs.parameters;
  return stage;
}

void take_moments(const Norm& norm, const Inputs& inputs, int threads) {
  const View view = norm.view(inputs.x);
  const Shape shape = norm.shape();
  const Moments sample = norm.sample(inputs.state);
  const Moments batch = norm.batch(inputs.state);
  if (norm.own) moments(&view, &shape, 0, sample.mean, sample.cov, threads);
  if (!norm.tracks) return;
  if (norm.own)
    merge_samples(&sample, norm.samples, norm.stage.groups, norm.rows(),
                  &batch);
  else
    moments(&view, &shape, 1, batch.mean, batch.cov, threads);
}

// `kept` receives what is kept of the batch beside its mean.
void forward(const Norm& norm, const Inputs& inputs, float* y, float* kept,
             int threads) {
  take_moments(norm, inputs, threads);
  const Stage stage = stage_of(norm, inputs);
  const Index square = norm.rows() * norm.rows(), entries = norm.entries();
  Scratch A(entries * square), b(entries * norm.rows());
  Scratch W(norm.covs(stage.samples));
  transform(&stage, A.data(), b.data(), W.data(), threads);
  if (norm.tracks && kept)
    std::copy_n(norm.keeps_matrix ? W.data() : stage.batch.cov, norm.covs(1),
                kept);
  const Index each = entries / stage.samples;
  const View in = norm.affine_view(inputs.x), out = norm.affine_view(y);
  const View matrices = norm.matrices(A.data(), stage.samples, each);
  const View vectors = norm.vectors(b.data(), stage.samples, each);
  const Shape shape = norm.affine_shape();
  affine(&in, &matrices, &vectors, &out, &shape, threads);
}

// Means and covariances that are nobody else's.
struct OwnMoments {
  OwnMoments(const Norm& norm, Index count)
      : mean(norm.means(count)), cov(norm.covs(count)) {}
  Moments at() { return {mean.data(), cov.data()}; }

  std::vector<float> mean, cov;
};

// B and d of B x + d, what reaches the input through its moments.
OwnMoments through_moments(const Norm& norm, const Stage& stage,
                           const Moments& d_sample, const Moments& d_batch) {
  const Index count = norm.own ? norm.samples : 1;
  OwnMoments through(norm, count);
  if (norm.own)
    moments_backward(&stage.sample, &d_sample, count * stage.groups,
                     stage.rows, norm.length, through.cov.data(),
                     through.mean.data());
  if (!norm.tracks) return through;
  OwnMoments shared(norm, 1);
  moments_backward(&stage.batch, &d_batch, stage.groups, stage.rows,
                   double(norm.samples) * norm.length, shared.cov.data(),
                   shared.mean.data());
  for (Index n = 0; n < count; ++n) {
    for (Index k = 0; k < norm.means(1); ++k)
      through.mean[n * norm.means(1) + k] += shared.mean[k];
    for (Index k = 0; k < norm.covs(1); ++k)
      through.cov[n * norm.covs(1) + k] += shared.cov[k];
  }
  return through;
}

// dx is null where it is not wanted, like the gradients of parameters that
// are not there.
void backward(const Norm& norm, const Inputs& inputs, const float* grad,
              float* dx, const Parameters& gradients, int threads) {
  const Stage stage = stage_of(norm, inputs);
  const Index square = norm.rows() * norm.rows(), entries = norm.entries();
  const View grads = norm.affine_view(grad), in = norm.affine_view(inputs.x);
  const Shape shape = norm.affine_shape();
  Scratch A(entries * square), dA(entries * square), db(entries * norm.rows());
  affine_gradients(&grads, &in, &shape, stage.samples != norm.samples,
                   dA.data(), db.data(), threads);
  OwnMoments mixed(norm, stage.samples), batch(norm, 1);
  const Moments d_mixed = mixed.at();
  const Moments d_batch = stage.batch.mean ? batch.at() : Moments{};
  transform_backward(&stage, dA.data(), db.data(), A.data(), &d_mixed,
                     &d_batch, &gradients, threads);
  if (!dx) return;
  OwnMoments through = through_moments(norm, stage, d_mixed, d_batch);
  const Index count = norm.own ? norm.samples : 1;
  const View matrices =
      norm.matrices(A.data(), stage.samples, entries / stage.samples);
  const View B = norm.matrices(through.cov.data(), count, stage.groups);
  const View d = norm.vectors(through.mean.data(), count, stage.groups);
  const View out = norm.affine_view(dx);
  const bool moved = norm.own || norm.tracks;
  input_gradient(&grads, &in, &matrices, moved ? &B : nullptr,
                 moved ? &d : nullptr, &out, &shape, threads);
}

// Copies the moments of a unit from its own state into that of the whole, or
// back.
void copy_state(const Norm& norm, const Unit& unit, float* whole, float* part,
                bool out) {
  const auto copy = [out](float* one, float* other, Index size) {
    out ? std::copy_n(other, size, one) : std::copy_n(one, size, other);
  };
  const Index means = unit.norm.means(1), covs = unit.norm.covs(1);
  if (norm.own) {
    const Moments all = norm.sample(whole), own = unit.norm.sample(part);
    for (Index n = 0; n < unit.norm.samples; ++n) {
      const Index sample = unit.sample + n;
      copy(all.mean + norm.means(sample) + unit.mean(), own.mean + n * means,
           means);
      copy(all.cov + norm.covs(sample) + unit.cov(), own.cov + n * covs, covs);
    }
  }
  if (!norm.tracks) return;
  const Moments all = unit.of(norm.batch(whole)), own = unit.norm.batch(part);
  copy(all.mean, own.mean, means);
  copy(all.cov, own.cov, covs);
}

Inputs inputs_of(const Unit& unit, const Inputs& all, float* state) {
  const auto& [weight, bias, mean_logits, cov_logits] = all.parameters;
  return {all.x + unit.input(),
          {weight ? weight + unit.mean() : nullptr,
           bias ? bias + unit.mean() : nullptr, mean_logits, cov_logits},
          unit.of(all.running), state};
}

void forward_units(const Norm& norm, const Units& units, const Inputs& inputs,
                   float* y, float* kept) {
#pragma omp parallel for schedule(dynamic) num_threads(units.threads) \
    if (units.threads > 1)
  for (Index k = 0; k < units.count(); ++k) {
    const Unit unit = units[k];
    std::vector<float> state(unit.norm.state_size());
    forward(unit.norm, inputs_of(unit, inputs, state.data()),
            y + unit.input(), kept ? kept + unit.cov() : nullptr, 1);
    copy_state(norm, unit, inputs.state, state.data(), true);
  }
}

// Gradients of the parameters of a unit, of which every other has its own.
struct UnitGradients {
  explicit UnitGradients(const Unit& unit)
      : affine(unit.norm.stage.channels()),
        logits(unit.norm.stage.ratio_groups * unit.norm.stage.num_logits),
        values(2 * (affine + logits)) {}

  Parameters at(const Parameters& wanted) {
    float* data = values.data();
    return {wanted.weight ? data : nullptr,
            wanted.bias ? data + affine : nullptr,
            wanted.mean_logits ? data + 2 * affine : nullptr,
            wanted.cov_logits ? data + 2 * affine + logits : nullptr};
  }

  Index affine, logits;
  std::vector<float> values;
};

// Adds to a part of the whole, which may be null.
void add(const float* values, Index size, float* whole, Index first) {
  if (!whole) return;
  for (Index k = 0; k < size; ++k) whole[first + k] += values[k];
}

void backward_units(const Norm& norm, const Units& units, const Inputs& inputs,
                    const float* grad, float* dx, const Parameters& wanted) {
  std::vector<UnitGradients> found;
  for (Index k = 0; k < units.count(); ++k) found.emplace_back(units[k]);
#pragma omp parallel for schedule(dynamic) num_threads(units.threads) \
    if (units.threads > 1)
  for (Index k = 0; k < units.count(); ++k) {
    const Unit unit = units[k];
    std::vector<float> state(unit.norm.state_size());
    copy_state(norm, unit, inputs.state, state.data(), false);
    backward(unit.norm, inputs_of(unit, inputs, state.data()),
             grad + unit.input(), dx ? dx + unit.input() : nullptr,
             found[k].at(wanted), 1);
  }
  for (float* whole : {wanted.weight, wanted.bias})
    if (whole) std::fill_n(whole, norm.stage.channels(), 0.0f);
  for (float* whole : {wanted.mean_logits, wanted.cov_logits})
    if (whole) std::fill_n(whole, found[0].logits, 0.0f);
  for (Index k = 0; k < units.count(); ++k) {
    const Parameters own = found[k].at(wanted);
    const Index first = units[k].mean();
    add(own.weight, found[k].affine, wanted.weight, first);
    add(own.bias, found[k].affine, wanted.bias, first);
    add(own.mean_logits, found[k].logits, wanted.mean_logits, 0);
    add(own.cov_logits, found[k].logits, wanted.cov_logits, 0);
  }
}

}  // namespace

extern "C" {

// `state` receives the moments that are taken from x; `running` is updated in
// training and read in evaluation, and null where there is no statistic of the
// batch. `kept` receives what is kept beside the mean, unless it is null.
void normalize(const Norm* norm, const float* x, float* y, float* weight,
               float* bias, float* mean_logits, float* cov_logits,
               float* running_mean, float* running_cov, Index* count,
               double momentum, float* state, float* kept, int threads) {
  const Inputs inputs{x,
                      {weight, bias, mean_logits, cov_logits},
                      {running_mean, running_cov},
                      state};
  std::vector<float> matrices;
  if (norm->keeps_matrix && norm->tracks && !kept) {
    matrices.resize(norm->covs(1));
    kept = matrices.data();
  }
  const Units units(*norm, threads);
  if (units.count() == 1)
    forward(*norm, inputs, y, kept, threads);
  else
    forward_units(*norm, units, inputs, y, kept);
  if (!norm->tracks || !running_mean) return;
  Moments seen = norm->batch(state);
  if (norm->keeps_matrix) seen.cov = kept;
  update_running(&seen, norm->stage.groups, norm->rows(), momentum,
                 &inputs.running, count);
}

void normalize_backward(const Norm* norm, const float* grad, const float* x,
                        float* dx, float* weight, float* bias,
                        float* mean_logits, float* cov_logits,
                        float* running_mean, float* running_cov, float* state,
                        float* d_weight, float* d_bias, float* d_mean_logits,
                        float* d_cov_logits, int threads) {
  const Inputs inputs{x,
                      {weight, bias, mean_logits, cov_logits},
                      {running_mean, running_cov},
                      state};
  const Parameters gradients{d_weight, d_bias, d_mean_logits, d_cov_logits};
  const Units units(*norm, threads);
  if (units.count() == 1)
    backward(*norm, inputs, grad, dx, gradients, threads);
  else
    backward_units(*norm, units, inputs, grad, dx, gradients);
}

}  // extern "C"
