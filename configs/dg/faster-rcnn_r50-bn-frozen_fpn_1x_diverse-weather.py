# BN† (frozen).
_base_ = '../_base_/faster-rcnn_r50_fpn_1x_diverse-weather.py'
