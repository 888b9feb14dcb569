"""mmdet's ``SyncNormHook`` averages the norms of this package too.

Imported by mmdet's registry of hooks along with mmdet's own.
"""

from mmdet.engine.hooks import sync_norm_hook

from .batch_norm import teach

teach(sync_norm_hook)
