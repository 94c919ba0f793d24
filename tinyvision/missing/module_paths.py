"""PyTorch's and torchvision's modules by the rooms that they lie in, so that an import of one that is not here can be
told from a slip of the pen."""

# With those of earlier releases, and without what is inside a room that is not here: an import asks for that first.
MODULES = {
    "torch": """_C _VF _dynamo _export _functorch _inductor _jit_internal _six _tensor _utils accelerator amp ao
        autograd backends compiler contrib cpu cuda distributed distributions export fft func functional futures
        fx hub jit library linalg masked monitor mps mtia multiprocessing nativert nested nn numa onnx optim
        overrides package profiler quantization quasirandom random return_types serialization signal sparse
        special storage testing torch_version types utils version xpu""",
    "torch.accelerator": "graphs memory",
    "torch.amp": "autocast_mode grad_scaler",
    "torch.autograd": """_functions anomaly_mode forward_ad function functional grad_mode gradcheck graph profiler
        profiler_legacy profiler_util variable""",
    "torch.backends": """cpu cuda cudnn cusparselt kleidiai mha miopen mkl mkldnn mps nnpack openmp opt_einsum
        quantized xeon xnnpack""",
    "torch.cuda": """amp comm gds graphs green_contexts jiterator memory nccl nvtx profiler random sparse streams
        tunable""",
    "torch.distributed": """_composable _shard _tensor algorithms autograd checkpoint device_mesh distributed_c10d
        elastic fsdp launch launcher nn optim pipelining rendezvous rpc run tensor utils""",
    "torch.distributions": """beta binomial cauchy chi2 constraint_registry constraints continuous_bernoulli
        dirichlet exp_family exponential fishersnedecor gamma geometric gumbel half_cauchy half_normal independent
        inverse_gamma kumaraswamy laplace lkj_cholesky log_normal logistic_normal lowrank_multivariate_normal
        mixture_same_family multinomial multivariate_normal negative_binomial one_hot_categorical pareto poisson
        relaxed_bernoulli relaxed_categorical studentT transformed_distribution transforms utils von_mises weibull
        wishart""",
    "torch.jit": "annotations frontend mobile quantized supported_ops unsupported_tensor_ops",
    "torch.multiprocessing": "pool queue reductions spawn",
    "torch.nn": """_reduction attention backends common_types cpp functional grad init intrinsic modules parallel
        parameter qat quantizable quantized utils""",
    "torch.nn.modules": """_functions activation adaptive batchnorm channelshuffle container conv distance dropout
        flatten fold instancenorm lazy linear loss module normalization padding pixelshuffle pooling rnn sparse
        transformer upsampling utils""",
    "torch.nn.parallel": "_functions comm data_parallel distributed parallel_apply replicate scatter_gather",
    "torch.nn.utils": """clip_grad convert_parameters fusion init memory_format parametrizations parametrize prune
        rnn spectral_norm stateless weight_norm""",
    "torch.onnx": """_internal errors operators ops symbolic_helper symbolic_opset9 symbolic_opset11
        symbolic_opset13 symbolic_registry utils verification""",
    "torch.optim": """_adafactor _functional _multi_tensor _muon adadelta adagrad adam adamax adamw asgd lbfgs
        lr_scheduler nadam optimizer radam rmsprop rprop sgd sparse_adam swa_utils""",
    "torch.profiler": "itt profiler",
    "torch.sparse": "semi_structured",
    "torch.testing": "_comparison _creation _internal",
    "torch.utils": """_foreach_utils _python_dispatch _pytree backcompat benchmark bottleneck bundled_inputs
        checkpoint collect_env cpp_extension data deterministic dlpack ffi flop_counter hipify hooks mkldnn
        mobile_optimizer model_dump model_zoo module_tracker serialization tensorboard throughput_benchmark weak""",
    "torch.utils.data": "_utils backward_compatibility dataloader datapipes dataset distributed graph sampler",
    "torch.utils.tensorboard": "summary writer",
    "torchvision": "_utils datasets extension io models ops prototype transforms tv_tensors utils version",
    "torchvision.datasets": """caltech celeba cifar cityscapes clevr coco country211 dtd eurosat fakedata fer2013
        fgvc_aircraft flickr flowers102 folder food101 gtsrb hmdb51 imagenet imagenette inaturalist kinetics kitti
        lfw lsun mnist moving_mnist omniglot oxford_iiit_pet pcam phototour places365 rendered_sst2 samplers sbd
        sbu semeion stanford_cars stl10 sun397 svhn ucf101 usps utils video_utils vision voc widerface""",
    "torchvision.io": "image video",
    "torchvision.models": """_api _meta _utils alexnet convnext densenet detection efficientnet feature_extraction
        googlenet inception maxvit mnasnet mobilenet mobilenetv2 mobilenetv3 optical_flow quantization regnet
        resnet segmentation shufflenetv2 squeezenet swin_transformer utils vgg video vision_transformer""",
    "torchvision.ops": """_utils boxes ciou_loss deform_conv diou_loss drop_block feature_pyramid_network
        focal_loss giou_loss misc poolers ps_roi_align ps_roi_pool roi_align roi_pool stochastic_depth""",
    "torchvision.transforms": """_functional_pil _functional_tensor _presets autoaugment functional functional_pil
        functional_tensor transforms v2""",
    "torchvision.transforms.v2": "_augment _color _geometry _utils functional",
}


def is_module(room: str, name: str) -> bool:
    """True if PyTorch's `room` has a module of this name."""
    return name in MODULES.get(room, "").split()
