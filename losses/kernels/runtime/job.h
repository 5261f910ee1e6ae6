// What a kernel is asked to compute: plain memory, so that kernels need nothing of torch.
#pragma once

#include <cstdint>

namespace losses {

enum Dtype : int32_t { FLOAT32, FLOAT64, BFLOAT16, FLOAT16 };

struct Array {
  // Null: there is none.
  const void* data;
  Dtype dtype;
};

// Calls f(context, begin, end) for parts of [0, count), each of at least `grain`.
using Parallel = void (*)(int64_t count, int64_t grain, void (*f)(const void* context, int64_t begin, int64_t end),
                          const void* context);

// Up to so many classes rows are transposed and computed beside each other. Above it two numbers per
// row are few beside the logits, so that they are saved for the gradient.
constexpr int64_t FEW = 63;

// Examples lie as (outer, classes, inner), contiguous in `inner`; a loss of single elements has
// `outer` of them, and one class.
struct Job {
  int64_t outer, classes, inner;
  // The logits; the target (elements, or rows of the logits' layout); a third number per element,
  // or a number per class.
  Array z, t, w;
  // The class of each example, in the place of t.
  const int64_t* index;
  int64_t ignored;
  // A factor per element, or per class: that of an example is weight[index] or the sum of weight t.
  Array weight;
  const double* constants;
  // Value: a loss per example; null: only their sum is wanted.
  void* each;
  Dtype each_dtype;
  // Gradient: that of z; `upstream` has a factor per example, `scale` is one for all.
  void* gradient;
  Dtype gradient_dtype;
  Array upstream;
  double scale;
  // Two numbers per row that the value saves for the gradient; null: none.
  void* saved;
  Parallel parallel;
};

}  // namespace losses
