// Means and covariances of groups of rows.
#pragma once

#include "registers.h"

// Mirrored in library.py.
struct Moments {
  float* mean;  // (samples or 1, groups, rows)
  float* cov;   // (samples or 1, groups, rows, rows)
};
