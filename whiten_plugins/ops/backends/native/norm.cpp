// The forward and the backward of a norm, each in one call: the steps of the
// other files one after the other.

#include <algorithm>
#include <vector>

#include "steps.h"

namespace {

// What calls of one norm on contiguous inputs of one shape agree on. Mirrored
// in library.py.
struct Norm {
  Index samples, channels, size;
  Index own;     // a statistic is a sample's own
  Index tracks;  // the batch's statistics are the input's, not the running ones
  Index keeps_matrix;  // kept of these: the whitening matrix
  Stage stage;

  Index rows() const { return stage.rows; }
  Index means(Index count) const { return count * stage.groups * rows(); }
  Index covs(Index count) const { return means(count) * rows(); }
  Index entries() const { return stage.samples * stage.groups * stage.slots; }

  // Rows that share statistics.
  Shape shape() const {
    return {samples, stage.groups, rows(), channels * size / means(1)};
  }
  View view(const float* data) const {
    const Index length = shape().size;
    return {const_cast<float*>(data),
            {channels * size, rows() * length, length, 1}};
  }

  // Rows that share A and b: where weights differ between the channels of a
  // row, every channel slot is an entry.
  Shape affine_shape() const {
    if (stage.slots == 1) return shape();
    return {samples, stage.slots, rows(), size};
  }
  View affine_view(const float* data) const {
    if (stage.slots == 1) return view(data);
    return {const_cast<float*>(data),
            {channels * size, size, stage.slots * size, 1}};
  }

  // Matrices and vectors, `count` samples of `entries`, for that view.
  View matrices(const float* data, Index count, Index entries) const {
    const Index length = rows() * rows();
    return {const_cast<float*>(data),
            {count == 1 ? 0 : entries * length, entries == 1 ? 0 : length,
             rows(), 1}};
  }
  View vectors(const float* data, Index count, Index entries) const {
    return {const_cast<float*>(data),
            {count == 1 ? 0 : entries * rows(), entries == 1 ? 0 : rows(), 1,
             1}};
  }

  // Where the moments that were taken from the input lie in the state.
  Moments sample(float* state) const {
    if (!own) return {nullptr, nullptr};
    return {state, state + means(samples)};
  }
  Moments batch(float* state) const {
    if (own) state += means(samples) + covs(samples);
    return {state, state + means(1)};
  }
};

// Means and covariances that are nobody else's.
struct OwnMoments {
  OwnMoments(const Norm& norm, Index count)
      : mean(norm.means(count)), cov(norm.covs(count)) {}
  Moments at() { return {mean.data(), cov.data()}; }

  std::vector<float> mean, cov;
};

Stage stage_of(const Norm& norm, float* state, const Moments& running,
               const Parameters& parameters) {
  Stage stage = norm.stage;
  stage.sample = norm.sample(state);
  stage.batch = norm.tracks ? norm.batch(state) : running;
  stage.parameters = parameters;
  return stage;
}

void take_moments(const Norm& norm, const float* x, float* state,
                  int threads) {
  const View view = norm.view(x);
  const Shape shape = norm.shape();
  const Moments sample = norm.sample(state), batch = norm.batch(state);
  if (norm.own) moments(&view, &shape, 0, sample.mean, sample.cov, threads);
  if (!norm.tracks) return;
  if (norm.own)
    merge_samples(&sample, norm.samples, norm.stage.groups, norm.rows(),
                  &batch);
  else
    moments(&view, &shape, 1, batch.mean, batch.cov, threads);
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
  const Moments running{running_mean, running_cov};
  take_moments(*norm, x, state, threads);
  const Stage stage = stage_of(*norm, state, running,
                               {weight, bias, mean_logits, cov_logits});
  const Index square = norm->rows() * norm->rows(), entries = norm->entries();
  std::vector<float> A(entries * square), b(entries * norm->rows());
  std::vector<float> W(norm->covs(stage.samples));
  transform(&stage, A.data(), b.data(), W.data(), threads);
  if (norm->tracks) {
    const Moments seen{stage.batch.mean,
                       norm->keeps_matrix ? W.data() : stage.batch.cov};
    if (running_mean)
      update_running(&seen, stage.groups, stage.rows, momentum, &running,
                     count);
    if (kept) std::copy_n(seen.cov, norm->covs(1), kept);
  }
  const Index each = entries / stage.samples;
  const View in = norm->affine_view(x), out = norm->affine_view(y);
  const View matrices = norm->matrices(A.data(), stage.samples, each);
  const View vectors = norm->vectors(b.data(), stage.samples, each);
  const Shape shape = norm->affine_shape();
  affine(&in, &matrices, &vectors, &out, &shape, threads);
}

// dx is null where it is not wanted, like the gradients of parameters that
// are not there.
void normalize_backward(const Norm* norm, const float* grad, const float* x,
                        float* dx, float* weight, float* bias,
                        float* mean_logits, float* cov_logits,
                        float* running_mean, float* running_cov, float* state,
                        float* d_weight, float* d_bias, float* d_mean_logits,
                        float* d_cov_logits, int threads) {
  const Stage stage =
      stage_of(*norm, state, {running_mean, running_cov},
               {weight, bias, mean_logits, cov_logits});
  const Index square = norm->rows() * norm->rows(), entries = norm->entries();
  const View grads = norm->affine_view(grad), in = norm->affine_view(x);
  const Shape shape = norm->affine_shape();
  std::vector<float> dA(entries * square), db(entries * norm->rows());
  affine_gradients(&grads, &in, &shape, stage.samples != norm->samples,
                   dA.data(), db.data(), threads);
  std::vector<float> A(entries * square);
  OwnMoments mixed(*norm, stage.samples), batch(*norm, 1);
  const Moments d_mixed = mixed.at();
  const Moments d_batch = stage.batch.mean ? batch.at() : Moments{};
  const Parameters gradients{d_weight, d_bias, d_mean_logits, d_cov_logits};
  transform_backward(&stage, dA.data(), db.data(), A.data(), &d_mixed,
                     &d_batch, &gradients, threads);
  if (!dx) return;
  // B x + d is what reaches the input through its moments.
  const Index count = norm->own ? norm->samples : 1;
  OwnMoments through(*norm, count);
  const Shape rows = norm->shape();
  if (norm->own)
    moments_backward(&stage.sample, &d_mixed, count * stage.groups,
                     stage.rows, rows.size, through.cov.data(),
                     through.mean.data());
  if (norm->tracks) {
    OwnMoments shared(*norm, 1);
    moments_backward(&stage.batch, &d_batch, stage.groups, stage.rows,
                     double(norm->samples) * rows.size, shared.cov.data(),
                     shared.mean.data());
    for (Index n = 0; n < count; ++n) {
      for (Index k = 0; k < norm->means(1); ++k)
        through.mean[n * norm->means(1) + k] += shared.mean[k];
      for (Index k = 0; k < norm->covs(1); ++k)
        through.cov[n * norm->covs(1) + k] += shared.cov[k];
    }
  }
  const Index each = entries / stage.samples;
  const View matrices = norm->matrices(A.data(), stage.samples, each);
  const View B = norm->matrices(through.cov.data(), count, stage.groups);
  const View d = norm->vectors(through.mean.data(), count, stage.groups);
  const View out = norm->affine_view(dx);
  const bool moved = norm->own || norm->tracks;
  input_gradient(&grads, &in, &matrices, moved ? &B : nullptr,
                 moved ? &d : nullptr, &out, &shape, threads);
}

}  // extern "C"
