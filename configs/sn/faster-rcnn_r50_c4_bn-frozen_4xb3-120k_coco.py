# SN Table 4: BN† (frozen), the toolkit's way.
_base_ = '../_base_/faster-rcnn_r50-c4_4xb3-120k_coco.py'
