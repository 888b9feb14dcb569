// The steps of a norm, as Python calls them one by one and norm.cpp all.
#pragma once

#include "mixture.h"
#include "moments.h"
#include "views.h"

extern "C" {

// ---- activations.cpp ----
void moments(const View* x, const Shape* shape, int shared, float* mean,
             float* cov, int threads);
void affine(const View* x, const View* A, const View* b, const View* out,
            const Shape* shape, int threads);
void affine_gradients(const View* grad, const View* x, const Shape* shape,
                      int shared, float* dA, float* db, int threads);
void input_gradient(const View* grad, const View* x, const View* A,
                    const View* B, const View* d, const View* out,
                    const Shape* shape, int threads);

// ---- transform.cpp ----
void transform(const Stage* stage, float* A, float* b, float* W, int threads);
void transform_backward(const Stage* stage, const float* dA, const float* db,
                        float* A, const Moments* d_sample,
                        const Moments* d_batch, const Parameters* gradients,
                        int threads);

// ---- statistics.cpp ----
void merge_samples(const Moments* sample, Index samples, Index groups,
                   Index rows, const Moments* batch);
void moments_backward(const Moments* moments, const Moments* gradients,
                      Index groups, Index rows, double count, float* B,
                      float* d);
void update_running(const Moments* batch, Index groups, Index rows,
                    double momentum, const Moments* running, Index* count);
}
