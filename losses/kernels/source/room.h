// Memory for gradients.
#pragma once

#include <ATen/core/Tensor.h>

namespace losses {

// Uninitialised memory for the gradient by z, which is dense: of z's shape, strides and dtype.
//
// A step of a training frees its gradient, and the next wants as much. Through the operating system
// each of its pages would be given back, found again and cleared, which for a large gradient takes
// as long as to compute it. So pieces of 1 MiB and more that are freed are kept for the next
// gradient of the same size, 64 MiB of them at most.
at::Tensor room_like(const at::Tensor& z);

}  // namespace losses
