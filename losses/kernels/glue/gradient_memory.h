// Memory for gradients.
#pragma once

#include <ATen/core/Tensor.h>

namespace losses {

// Returns an uninitialised dense tensor of z's shape, strides and dtype, for the gradient by z.
//
// Every training step frees its gradient and allocates one of the same size. malloc returns large
// blocks to the operating system, which then has to find and clear their pages anew; that takes as
// long as computing the gradient. So freed blocks of 1 MiB and more are cached for the next
// gradient of the same size, 64 MiB in total.
at::Tensor empty_gradient_like(const at::Tensor& z);

}  // namespace losses
