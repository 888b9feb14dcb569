// Newton iterations on one matrix.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include "products.h"
#include "registers.h"

// Square matrices in scratch memory, padded with zeros to whole registers.
struct Matrices {
  Index rows, stride;

  explicit Matrices(Index rows) : rows(rows), stride(round_up(rows, kLanes)) {}
  Index floats() const { return rows * stride; }

  // out = a b
  void product(const float* a, const float* b, float* out) const {
    const Term term{a, stride, 1, b, stride};
    multiply({{term, {}}, 1, rows, nullptr, 0, out, stride}, stride);
  }
  // out = a b + c d
  void products(const float* a, const float* b, const float* c,
                const float* d, float* out) const {
    const Term first{a, stride, 1, b, stride}, second{c, stride, 1, d, stride};
    multiply({{first, second}, 2, rows, nullptr, 0, out, stride}, stride);
  }
  // out = factor * a + constant * I
  void scale(float factor, const float* a, float constant, float* out) const {
    for (Index k = 0; k < floats(); ++k) out[k] = factor * a[k];
    for (Index i = 0; i < rows; ++i) out[i * (stride + 1)] += constant;
  }
  // out += factor * a
  void add(float factor, const float* a, float* out) const {
    for (Index k = 0; k < floats(); ++k) out[k] += factor * a[k];
  }
  // out = a^T
  void transpose(const float* a, float* out) const {
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < rows; ++j) out[i * stride + j] = a[j * stride + i];
  }
  // a = (a + a^T) / 2
  void symmetrize(float* a) const {
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < i; ++j)
        a[i * stride + j] = a[j * stride + i] =
            (a[i * stride + j] + a[j * stride + i]) / 2;
  }
  float trace(const float* a) const {
    float total = 0;
    for (Index i = 0; i < rows; ++i) total += a[i * (stride + 1)];
    return total;
  }
  float dot(const float* a, const float* b) const {
    Vector total = {};
    for (Index k = 0; k < floats(); k += kLanes)
      total += load(a + k) * load(b + k);
    return sum(total);
  }
  void read(const float* source, float* target) const {
    for (Index i = 0; i < rows; ++i) {
      std::copy_n(source + i * rows, rows, target + i * stride);
      std::fill(target + i * stride + rows, target + (i + 1) * stride, 0.0f);
    }
  }
  void write(const float* source, float* target) const {
    for (Index i = 0; i < rows; ++i)
      std::copy_n(source + i * stride, rows, target + i * rows);
  }
};

// Newton iterations (ItN eq. 7) on S / tr S in the coupled form, which has the
// same iterates Z_k = P_k but does not multiply rounding:
//   Y_0 = S / tr S, Z_0 = I, R_k = (3 I - Z_k Y_k) / 2,
//   Y_(k+1) = Y_k R_k, Z_(k+1) = R_k Z_k.
// Every step is kept in `memory`.
class Newton {
 public:
  Newton(Index rows, Index steps)
      : matrix_(rows), steps_(steps), scratch_(4 * matrix_.floats()) {}

  // Sums run over the padding of matrices, of which nothing else is written.
  void clear(float* memory) {
    if (matrix_.stride == matrix_.rows) return;
    std::fill_n(memory, memory_size(), 0.0f);
    std::fill_n(scratch_.data(), 4 * matrix_.floats(), 0.0f);
  }

  // What the steps of one matrix take.
  Index memory_size() const { return 3 * steps_ * matrix_.floats() + kLanes; }

  // W = Z_T / sqrt(tr S)
  void forward(const float* S, float* W, float* memory) {
    steps_of(memory);
    matrix_.read(S, Y(0));
    *trace_ = matrix_.trace(Y(0));
    matrix_.scale(1 / *trace_, Y(0), 0, Y(0));
    matrix_.scale(-0.5f, Y(0), 1.5f, R(0));
    std::copy_n(R(0), matrix_.floats(), Z(1));
    for (Index k = 1; k < steps_; ++k) {
      matrix_.product(Y(k - 1), R(k - 1), Y(k));
      matrix_.product(Z(k), Y(k), R(k));
      matrix_.scale(-0.5f, R(k), 1.5f, R(k));
      matrix_.product(R(k), Z(k), Z(k + 1));
    }
    matrix_.scale(1 / std::sqrt(*trace_), Z(steps_), 0, scratch(0));
    matrix_.write(scratch(0), W);
  }

  // The symmetric part of the gradient of S from that of W, after the
  // forward. All steps are symmetric but for rounding, which would be
  // multiplied if they were taken for it on the way. Gradients are kept
  // transposed, so that no step has to be.
  void backward(const float* grad, float* dS, float* memory) {
    steps_of(memory);
    float *dY = scratch(0), *dZ = scratch(1), *dR = scratch(2),
          *next = scratch(3);
    matrix_.read(grad, next);
    matrix_.transpose(next, dZ);
    const float scale = 1 / std::sqrt(*trace_);
    float d_trace = -matrix_.dot(next, Z(steps_)) * scale / (2 * *trace_);
    matrix_.scale(scale, dZ, 0, dZ);
    std::fill(dY, dY + matrix_.floats(), 0.0f);
    for (Index k = steps_ - 1; k > 0; --k) {
      matrix_.products(Z(k), dZ, dY, Y(k), dR);
      // dZ_k = dZ R_k - Y_k dR / 2, dY_k = R_k dY - dR Z_k / 2
      matrix_.scale(-0.5f, dR, 0, dR);
      matrix_.products(dZ, R(k), Y(k), dR, next);
      std::swap(dZ, next);
      matrix_.products(R(k), dY, dR, Z(k), next);
      std::swap(dY, next);
    }
    // Z_1 = R_0 = (3 I - Y_0) / 2, Y_1 = Y_0 R_0
    matrix_.scale(-0.5f, dZ, 0, dR);
    matrix_.product(dY, Y(0), next);
    matrix_.add(-0.5f, next, dR);
    matrix_.product(R(0), dY, next);
    matrix_.add(1, next, dR);
    matrix_.symmetrize(dR);
    d_trace -= matrix_.dot(dR, Y(0)) / *trace_;
    matrix_.scale(1 / *trace_, dR, d_trace, dR);
    matrix_.write(dR, dS);
  }

 private:
  void steps_of(float* memory) {
    trace_ = memory;
    matrices_ = memory + kLanes;
  }
  float* at(Index k) { return matrices_ + k * matrix_.floats(); }
  float* Y(Index k) { return at(k); }                   // k = 0 ... steps - 1
  float* R(Index k) { return at(steps_ + k); }          // k = 0 ... steps - 1
  float* Z(Index k) { return at(2 * steps_ + k - 1); }  // k = 1 ... steps
  float* scratch(Index k) { return scratch_.data() + k * matrix_.floats(); }

  Matrices matrix_;
  Index steps_;
  Scratch scratch_;
  float *trace_ = nullptr, *matrices_ = nullptr;
};
