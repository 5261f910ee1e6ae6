"""The closed forms: value, gradient and curvature of every loss, as plain torch operations."""
