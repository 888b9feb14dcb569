# The segmentor, tested on images under a photometric shift: the transform
# after loading, to be overridden.
_base_ = './segmentor.py'

test_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='AdjustGamma'),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ]
    )
)
