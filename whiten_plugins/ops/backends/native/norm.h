// A norm on contiguous inputs of one shape.
#pragma once

#include "mixture.h"
#include "moments.h"
#include "views.h"

// What its calls agree on. Mirrored in library.py.
struct Norm {
  Index samples, stride;  // from one sample to the next
  Index length;           // of a row
  Index own;              // a statistic is a sample's own
  Index tracks;  // the batch's statistics are the input's, not the running ones
  Index keeps_matrix;  // kept of these: the whitening matrix
  Stage stage;

  Index rows() const { return stage.rows; }
  Index means(Index count) const { return count * stage.groups * rows(); }
  Index covs(Index count) const { return means(count) * rows(); }
  Index entries() const { return stage.samples * stage.groups * stage.slots; }
  Index floats() const { return samples * means(1) * length; }

  // Rows that share statistics.
  Shape shape() const { return {samples, stage.groups, rows(), length}; }
  View view(const float* data) const {
    return {const_cast<float*>(data), {stride, rows() * length, length, 1}};
  }

  // Rows that share A and b: where weights differ between the channels of a
  // row, every channel slot is an entry.
  Shape affine_shape() const {
    if (stage.slots == 1) return shape();
    return {samples, stage.slots, rows(), length / stage.slots};
  }
  View affine_view(const float* data) const {
    if (stage.slots == 1) return view(data);
    return {const_cast<float*>(data),
            {stride, length / stage.slots, length, 1}};
  }

  // Matrices and vectors, `count` samples of `entries`, for that view.
  View matrices(const float* data, Index count, Index entries) const {
    const Index size = rows() * rows();
    return {const_cast<float*>(data),
            {count == 1 ? 0 : entries * size, entries == 1 ? 0 : size, rows(),
             1}};
  }
  View vectors(const float* data, Index count, Index entries) const {
    return {const_cast<float*>(data),
            {count == 1 ? 0 : entries * rows(), entries == 1 ? 0 : rows(), 1,
             1}};
  }

  // Where the moments that are taken from the input lie in the state.
  Moments sample(float* state) const {
    if (!own) return {nullptr, nullptr};
    return {state, state + means(samples)};
  }
  Moments batch(float* state) const {
    if (own) state += means(samples) + covs(samples);
    return {state, state + means(1)};
  }
  Index state_size() const {
    const Index count = (own ? samples : 0) + (tracks ? 1 : 0);
    return means(count) + covs(count);
  }
};
