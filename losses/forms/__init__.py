"""The closed forms of every loss, as torch operations: value, gradient, Hessian-vector product."""
