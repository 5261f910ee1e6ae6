"""Each loss as one writes it with torch today: the truth of the tests, the yardstick of the
benchmarks. Where torch.nn.functional has the loss it is that function, elsewhere the plain
formula with torch's autograd. All take (input, target, reduction), and settings by name.
"""
