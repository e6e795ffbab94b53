"""What Caffe's generations of definitions have in common at last: V0 and V1 upgraded, phase rules applied, inputs told."""
