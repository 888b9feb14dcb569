// Newton iterations on one matrix.
#pragma once

#include <algorithm>
#include <cmath>

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
  // out = factor * a + constant * I
  void scale(float factor, const float* a, float constant, float* out) const {
    for (Index k = 0; k < floats(); ++k) out[k] = factor * a[k];
    for (Index i = 0; i < rows; ++i) out[i * (stride + 1)] += constant;
  }
  // out += factor * a
  void add(float factor, const float* a, float* out) const {
    for (Index k = 0; k < floats(); ++k) out[k] += factor * a[k];
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

// Newton iterations (ItN eq. 7) on S / tr S, with every step in `memory`.
class Newton {
 public:
  Newton(Index rows, Index steps)
      : matrix_(rows), steps_(steps), scratch_(6 * matrix_.floats()) {}

  // What the steps of one matrix take.
  Index memory_size() const { return 2 * steps_ * matrix_.floats() + kLanes; }

  // W = P_T / sqrt(tr S)
  void forward(const float* S, float* W, float* memory) {
    steps_of(memory);
    matrix_.read(S, Sn());
    *trace_ = matrix_.trace(Sn());
    matrix_.scale(1 / *trace_, Sn(), 0, Sn());
    matrix_.scale(-0.5f, Sn(), 1.5f, P(1));
    for (Index k = 1; k < steps_; ++k) {
      matrix_.product(P(k), P(k), scratch(0));
      matrix_.product(scratch(0), P(k), cube(k));
      matrix_.product(cube(k), Sn(), scratch(0));
      matrix_.scale(1.5f, P(k), 0, P(k + 1));
      matrix_.add(-0.5f, scratch(0), P(k + 1));
    }
    matrix_.scale(1 / std::sqrt(*trace_), P(steps_), 0, scratch(0));
    matrix_.write(scratch(0), W);
  }

  // The symmetric part of the gradient of S from that of W, after the
  // forward. As every P_k is symmetric, only that part counts on the way too.
  void backward(const float* grad, float* dS, float* memory) {
    steps_of(memory);
    float *G = scratch(0), *R = scratch(1), *Z = scratch(2),
          *left = scratch(3), *right = scratch(4), *dSn = scratch(5);
    matrix_.read(grad, G);
    matrix_.symmetrize(G);
    const float scale = 1 / std::sqrt(*trace_);
    float d_trace = -matrix_.dot(G, P(steps_)) * scale / (2 * *trace_);
    matrix_.scale(scale, G, 0, G);
    std::fill(dSn, dSn + matrix_.floats(), 0.0f);
    for (Index k = steps_ - 1; k > 0; --k) {
      matrix_.product(cube(k), G, R);
      matrix_.add(-0.5f, R, dSn);
      // -P^3 S / 2 reaches P as -(Y P^2 + P Y P + P^2 Y) / 4, Y = G S + S G.
      matrix_.product(G, Sn(), R);
      matrix_.symmetrize(R);
      matrix_.product(P(k), R, Z);
      matrix_.product(P(k), Z, left);
      matrix_.product(Z, P(k), right);
      matrix_.symmetrize(left);
      matrix_.scale(1.5f, G, 0, G);
      matrix_.add(-1, left, G);
      matrix_.add(-0.5f, right, G);
    }
    matrix_.add(-0.5f, G, dSn);
    matrix_.symmetrize(dSn);
    d_trace -= matrix_.dot(dSn, Sn()) / *trace_;
    matrix_.scale(1 / *trace_, dSn, d_trace, dSn);
    matrix_.write(dSn, dS);
  }

 private:
  void steps_of(float* memory) {
    trace_ = memory;
    matrices_ = memory + kLanes;
  }
  float* at(Index k) { return matrices_ + k * matrix_.floats(); }
  float* Sn() { return at(0); }
  float* P(Index k) { return at(k); }              // k = 1 ... steps
  float* cube(Index k) { return at(steps_ + k); }  // k = 1 ... steps - 1
  float* scratch(Index k) { return scratch_.data() + k * matrix_.floats(); }

  Matrices matrix_;
  Index steps_;
  Scratch scratch_;
  float *trace_ = nullptr, *matrices_ = nullptr;
};
