"""The exercises of the course, one file each, in this order; see `tinyvision/learn/course.py` for their form."""

COURSE = 5  # raised when exercises are added or changed, so that older folders can be told

ORDER = (
    "out_size", "padding", "conv_loops", "im2col", "conv_forward", "relu_forward", "maxpool_forward",
    "avgpool_forward", "linear_forward", "softmax", "cross_entropy", "accuracy", "numeric_gradient",
    "linear_backward", "relu_backward", "softmax_backward", "cross_entropy_backward", "col2im", "conv_dweight",
    "conv_dbias", "conv_dx", "maxpool_backward", "avgpool_backward", "global_avgpool", "upsample", "convtranspose",
    "batchnorm_forward", "batchnorm_steps", "batchnorm_formula", "batchnorm_frozen", "batchnorm_cs231n",
    "groupnorm", "residual", "dropout", "gelu", "tape_walk", "memory_hunt", "bug_hunt_backward", "sgd", "momentum",
    "weight_decay", "normalise_images", "training_loop", "bug_hunt_training", "bug_report", "kaiming_init",
    "float16_hunt", "resnet_block", "load_pretrained", "freeze", "fine_tune", "make_it_fast", "grad_cam",
    "roc_auc", "arcface", "dice_loss", "unet_block", "nms", "average_precision", "add_noise", "ddim_step",
    "cuda_bias", "cuda_relu_backward", "cuda_columns", "cuda_maxpool_backward", "cuda_channel_sums", "cuda_product",
)  # fmt: skip
