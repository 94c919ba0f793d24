"""Why names of PyTorch's are not here, by kind, and what there is instead.

A name belongs to the first kind one of whose patterns it matches; a pattern with a dot is for one room alone. Of what
no kind speaks it can only be said that it is not built. `tutorials/SUPPORTED.md` shows all of it."""

from fnmatch import fnmatchcase

UNBUILT = "it is not built"
INNER = "it is an inner part of PyTorch's, or a name that a module of PyTorch's imports for itself"

# (why, patterns of names)
KINDS = (
    (
        "tensors are not shared between processes; run processes of your own with Python's multiprocessing",
        "torch.multiprocessing.*",
    ),
    (
        "models are not compiled, they run as they are written",
        """torch.jit torch.jit.* torch.fx torch.fx.* torch.compiler torch.export torch.package torch.nativert
        torch.utils.mobile_optimizer torch.utils.bundled_inputs torch._dynamo torch._inductor torch._export
        torch._functorch""",
    ),
    (
        "an op here is a pair of functions in Python, and is not made from C++ or registered by a name",
        "torch.library torch.overrides torch.utils.cpp_extension torch.utils.hipify torch.nn.cpp torch.utils._python*",
    ),
    (
        "functions are not transformed: gradients are those of one number, from backward() or autograd.grad",
        "torch.func torch.autograd.forward_ad torch.autograd.functional.jvp torch.nn.utils.stateless",
    ),
    ("all numbers of a tensor count, and all of its rows are of one length", "torch.masked torch.nested"),
    (
        "a file is read without running what is in it, so no class of yours is to be named first",
        "torch.serialization",
    ),
    ("a list of tensors is gone through in a loop", "torch._foreach_* torch.utils._foreach_utils"),
    (
        "time and memory are measured by Python's own tools",
        """torch.utils.benchmark torch.utils.bottleneck
        torch.utils.flop_counter torch.utils.throughput_benchmark torch.utils.module_tracker torch.monitor""",
    ),
    ("settings of the machine are printed by `tinyvision doctor`", "torch.utils.collect_env torch.utils.model_dump"),
    ("special functions are SciPy's: scipy.special on x.numpy(), off the tape", "torch.special torch.signal"),
    ("there are no complex numbers", "torch.fft torch.fft.*"),
    ("there are no sparse tensors", "torch.sparse torch.sparse.*"),
    (
        "there are no quantised tensors",
        """torch.quantization torch.quantization.* torch.ao torch.ao.*
        torch.nn.qat torch.nn.quantized torch.nn.quantizable torch.nn.intrinsic torchvision.models.quantization
        torch.backends.quantized""",
    ),
    ("nothing here writes PyTorch's traces", "torch.profiler torch.profiler.* torch.autograd.profiler"),
    (
        INNER,
        """BroadcastingList* DType TYPE_CHECKING ScalingType SwizzleType *_MODES boolean_dispatch
        assert_int_or_pair handle_torch_function has_torch_function* reproducibility_notes *_support_notes
        tf32_notes common_notes factory_kwargs grouped_mm *scaled_mm scaled_grouped_mm functional_datapipe
        argument_validation runtime_validation* guaranteed_datapipes_determinism non_deterministic Counter
        EPOCH_DEPRECATION_WARNING annotations bisect_right ref torch.optim.lr_scheduler.Optimizer
        torch.optim.lr_scheduler.Tensor torch.optim.lr_scheduler.inf
        torch.nn.functional.Tensor torchvision.utils.repeat classproperty FunctionType PILLOW_VERSION_STRING
        swap_in_optimizer* torch.*Type torch.*Types torch.Async* torch.AVG torch.SUM AliasDb Argument*
        AwaitType Benchmark* torch.Block BufferDict CallStack Capsule torch.Code Compil* CompleteArgument*
        Concrete* DeepCopy* Deserialization* DeviceObjType DisableTorch* Dispatch* ErrorReport Exclude*
        ExecutionPlan FatalError FileCheck FunctionSchema Future Gradient torch.Graph GraphExecutorState
        IODescriptor JITException Lite* Locking* LoggerBase torch.ModuleDict torch.Node Noop* OperatorInfo
        torch.ParameterDict PyTorchFile* Script* Serialization* StaticModule StreamObjType Sym* sym_*
        torch.Tag Throughput* TracingState torch.Use torch.Value PRIVATE_OPS USE_* *_copy batch_norm_*
        cudnn_* miopen_* mkldnn_* fbgemm_* fused_* native_* init_num_threads import_ir_* merge_type_*
        parse_* unify_type_list compiled_with_cxx11_abi get_file_path prepare_multiprocessing_environment
        profiler_allow_* thread_safe_generator norm_except_dim module_load reinforce is_set_to record_stream
        hash_tensor map2_ output_nr volatile conv_tbc *_decrement_nesting *_increment_nesting
        clear_autocast_cache has_lapack has_mkl has_openmp has_spectral torch.adaptive_*1d *_with_indices
        torch.affine_grid_generator torch.convolution torch.cudnn_* embedding_renorm_ torch.feature_dropout*
        nonzero_static from_file torch.typename unsafe_* is_storage torch.cond while_loop slice_inverse
        torch.wait torch.fork const_data_ptr is_view_replay_enabled kineto_available Profiler* DeviceType
        SavedTensor NestedIOFunction variable is_multithreading_enabled is_tensor_like
        set_multithreading_enabled enforce_grad_layout_policy DEVICE_REQUIREMENT PYTORCH_RELEASES_CODE_CC""",
    ),
    ("it is for full batches", "Rprop"),
    (
        "it is made for very large language models",
        "Adafactor Muon linear_cross_entropy LinearCrossEntropy* AdaptiveLogSoftmaxWithLoss",
    ),
    ("it gives marks to sequences, as speech and handwriting have, and tinyvision is for images", "CTCLoss ctc_loss"),
    ("a matrix is made orthogonal by factorising it, which is NumPy's work", "torch.nn.utils.parametrizations.*"),
    (
        "weights are not masked here: a network that is to be small is made small",
        "prune torch.nn.utils.prune.*",
    ),
    (
        "what a backward needs stays where the forward left it, and no hook takes it elsewhere",
        "torch.autograd.graph torch.autograd.graph.* saved_tensors_hooks *save_on_cpu",
    ),
    ("records of events are written by tensorboardX", "FileWriter RecordWriter"),
    (
        "recurrent layers are for sequences, and tinyvision is for images",
        "*LSTM* *lstm* *GRU* *gru torch.gru* *RNN* *rnn*",
    ),
    (
        "transformers are not here: the networks of tinyvision are convolutional",
        """*Transformer* multi_head_* Swin* swin_* ViT* vit_* MaxVit* maxvit*
        vision_transformer
        torch.nn.attention torch.nn.attention.*""",
    ),
    (
        "it is for volumes and videos, and tinyvision is for images",
        """*3d *3d_* Conv3d* DropBlock3d torchvision.datasets.*MNIST3D UniformTemporal* Kinetics HMDB51 UCF101
        MovingMNIST""",
    ),
    (
        "there are no complex numbers",
        """*omplex* cdouble cfloat chalf real imag angle conj* polar resolve_conj resolve_neg is_conj is_neg H
        mH stft istft isreal view_as_real* *_window eigvals eig""",
    ),
    (
        "there are no sparse tensors",
        """*sparse* Sparse* *coalesce* *_coo* *_csr* *_csc* *_bsr* *_bsc* crow_* ccol_* col_indices row_indices indices
        dense_dim smm hsmm dsmm saddmm sspaddmm spmm hspmm to_dense resize_as_sparse_ values indices_copy""",
    ),
    (
        "there are no quantised tensors",
        """quant* *_quant empty_quantized is_quantized fake_quant* choose_qparams* dequantize q_* qint* quint*
        QInt* QUInt* qscheme int_repr per_channel_* per_tensor_* bits* bit float4* float8* int[1-7]
        uint[1-7]""",
    ),
    (
        "its place is torch.nn.functional",
        """torch.alpha_dropout torch.avg_pool1d torch.batch_norm torch.binary_cross_entropy_with_logits
        torch.celu torch.celu_ torch.channel_shuffle torch.conv1d torch.conv2d torch.conv_transpose1d
        torch.conv_transpose2d torch.cosine_embedding_loss torch.cosine_similarity torch.dropout
        torch.embedding torch.grid_sampler torch.group_norm torch.hardshrink torch.hinge_embedding_loss
        torch.instance_norm torch.kl_div torch.layer_norm torch.margin_ranking_loss torch.max_pool1d torch.max_pool2d
        torch.pairwise_distance torch.pixel_shuffle torch.pixel_unshuffle torch.poisson_nll_loss torch.prelu
        torch.rms_norm torch.selu torch.selu_ torch.threshold torch.threshold_ torch.triplet_margin_loss""",
    ),
    ("bfloat16 is a type that NumPy does not have; float16 and float32 are here", "BFloat16*"),
    ("layers are made with their sizes, which a forward pass does not find out", "Lazy* Uninitialized*"),
    (
        "processes are started by MPI and find each other in tinyvision.distributed",
        """SyncBatchNorm Distributed* RRef* is_distributed convert_sync* torch.futures torch.numa torch.distributed.*
        torch.nn.parallel.*""",
    ),
    (
        "matrices are factorised and solved by NumPy: np.linalg on x.numpy(), off the tape",
        """*svd* qr *cholesky* eig* symeig lu lu_* ldl_* *solve *solve_ex solve_triangular det logdet slogdet
        inverse cholesky_inverse inv_ex pinv* matrix_* geqrf orgqr ormqr lstsq lobpcg pca_lowrank
        torch.linalg.cond multi_dot householder* tensorinv chain_matmul nuclear_norm frobenius_norm
        LinAlgError vander vecdot""",
    ),
    (
        "special functions are SciPy's: scipy.special on x.numpy(), off the tape",
        """*gamma* erfc* i0* sinc* xlogy* logaddexp2 nextafter* gcd* lcm* ldexp* frexp heaviside*
        copysign*""",
    ),
    (
        "tensors are views of NumPy's memory, which is not laid out anew by hand",
        """as_strided* set_ resize resize_as torch.resize_as_ *torage* new_empty_strided empty_strided empty_permuted
        as_strided_scatter diagonal_scatter select_scatter slice_scatter is_shared dim_order
        legacy_contiguous_format jagged memory_format layout""",
    ),
    (
        "there are two devices here, cpu and cuda",
        """ipu xpu mtia hpu is_ipu is_xpu is_xla is_mps is_mtia is_maia is_meta is_vulkan* is_mkldnn to_mkldnn
        is_nested to_padded_tensor *_ipu_* *_xla_* torch.mps torch.cpu torch.backends.cpu
        torch.backends.cusparselt torch.backends.kleidiai torch.backends.mha torch.backends.miopen
        torch.backends.mkl torch.backends.nnpack torch.backends.openmp torch.backends.opt_einsum
        torch.backends.quantized torch.backends.xeon torch.backends.xnnpack""",
    ),
    ("a tensor has no names of axes", "refine_names rename* align_* names"),
    ("autocast is a block here, and has no settings", "*autocast* custom_fwd custom_bwd"),
    (
        "streams, graphs and memory pools of a GPU belong to CuPy here",
        "*Stream *stream* *Event torch.cuda.* default_generators",
    ),
    (
        "optical flow and stereo are not here",
        "*Flow flow_to_image *Stereo* *Kitti* Sintel* HD1K CREStereo FlyingChairs FlyingThings* ETH3D*",
    ),
    (
        "it cuts regions out of feature maps, for detectors of two stages, which are not here",
        "*roi_align RoIAlign MultiScaleRoIAlign *roi_pool RoIPool PSRoI*",
    ),
    (
        "its windows move by numbers that a network learns, which no op here does",
        "deform_* Deform*",
    ),
    (
        "this network is not among those built here",
        "MNASNet* mnasnet* RegNet* regnet_* ResNeXt101_64* resnext101_64*",
    ),
    ("this data set has no reader here", "torchvision.datasets.*"),
    (
        "its networks find boxes in two stages, or from anchors",
        "torchvision.models.detection",
    ),
    ("its networks are not among those built here", "torchvision.models.segmentation"),
    ("transforms here take pictures alone; move the boxes in your dataset", "torchvision.tv_tensors"),
    (
        INNER,
        """torch._* torch.nn._* torch.optim._* torch.utils._* torch.autograd._* torchvision._* torch.testing._*
        torchvision.models._* torchvision.ops._* torchvision.transforms._* torchvision.transforms.v2._*
        torch.distributed._* torch.onnx._* torch.storage torch.return_types torch.utils.weak
        torch.utils.serialization torch.utils.backcompat torchvision.extension""",
    ),
    ("data is read by a DataLoader from a Dataset", "*DataPipe* DataChunk"),
)

# What there is, or what to write, instead of a name (of one room alone, if it has a dot); it follows the reason.
INSTEAD = {
    "ASGD": "SGD, and optim.swa_utils.AveragedModel",
    "Rprop": "RMSprop, the same idea for mini-batches",
    "SparseAdam": "Adam",
    "Adafactor": "Adam or AdamW",
    "Muon": "SGD with momentum, or AdamW",
    "ConvTranspose1d": "nn.functional.conv_transpose1d, or nn.ConvTranspose2d over a height of 1",
    "BatchNorm3d": "nn.BatchNorm2d",
    "InstanceNorm3d": "nn.InstanceNorm2d",
    "Conv3d": "nn.Conv2d",
    "conv3d": "nn.functional.conv2d",
    "ConvTranspose3d": "nn.ConvTranspose2d",
    "MaxPool3d": "nn.MaxPool2d",
    "AvgPool3d": "nn.AvgPool2d",
    "AdaptiveAvgPool3d": "nn.AdaptiveAvgPool2d",
    "AdaptiveMaxPool3d": "nn.AdaptiveMaxPool2d",
    "LazyConv2d": "nn.Conv2d, with in_channels named",
    "LazyLinear": "nn.Linear, with in_features named",
    "LazyBatchNorm2d": "nn.BatchNorm2d, with num_features named",
    "CrossMapLRN2d": "nn.LocalResponseNorm",
    "NLLLoss2d": "nn.NLLLoss, which takes images as well",
    "TripletMarginWithDistanceLoss": "nn.functional.triplet_margin_with_distance_loss",
    "MultiLabelMarginLoss": "nn.MultiLabelSoftMarginLoss",
    "RReLU": "nn.LeakyReLU",
    "rrelu": "nn.functional.leaky_relu",
    "EmbeddingBag": "nn.Embedding, and a mean or sum over its rows",
    "Bilinear": "torch.einsum('ni,oij,nj->no', x, weight, y)",
    "bilinear": "torch.einsum('ni,oij,nj->no', x, weight, y)",
    "multi_head_attention_forward": "nn.MultiheadAttention",
    "fuse_conv_bn_eval": "model.fuse()",
    "fuse_conv_bn_weights": "model.fuse()",
    "DropBlock2d": "nn.Dropout2d, which drops whole channels",
    "drop_block2d": "nn.functional.dropout2d, which drops whole channels",
    "FeaturePyramidNetwork": "nn.Conv2d and nn.functional.interpolate, of which it is made",
    "complete_box_iou_loss": "1 - complete_box_iou of each pair",
    "distance_box_iou_loss": "1 - distance_box_iou of each pair",
    "FileWriter": "utils.tensorboard.SummaryWriter",
    "profile": "Python's own cProfile, or py-spy",
    "torch.jit.trace": "torch.onnx.export, which writes what one pass calls",
    "torchvision.transforms.Scale": "Resize",
    "torchvision.transforms.RandomSizedCrop": "RandomResizedCrop",
    "download_url_to_file": "Python's urllib.request.urlretrieve; load_state_dict_from_url checks what it fetches",
    "consume_prefix_in_state_dict_if_present": "load_state_dict, which takes module. and the like off by itself",
    "vmap": "broadcasting, with the batch as an axis",
    "Event": "synchronize(), and time.perf_counter()",
    "set_default_tensor_type": "torch.set_default_dtype",
    "range": "torch.arange, which leaves out the end",
    "storage": "x.numpy(), which is its memory",
    "untyped_storage": "x.numpy(), which is its memory",
    "resize": "reshape, or resize_",
    "resize_as": "reshape_as, or resize_as_",
    "model_urls": "models.get_model_weights(name).DEFAULT.url",
    "as_strided": "unfold, slices and reshape",
    "trapz": "np.trapezoid on x.numpy()",
    "trapezoid": "np.trapezoid on x.numpy()",
    "newaxis": "None between the brackets",
    "torch.nn.utils.parametrizations.orthogonal": "nn.init.orthogonal_, which begins there",
    "prune": "a smaller width, or a model with fewer blocks",
    "max_memory_allocated": "memory_reserved(), which counts all that the pool has asked for",
    "max_memory_reserved": "memory_reserved(), which counts all that the pool has asked for",
    "_six": "math.inf, str and collections.abc, which it stood for",
    "torch.overrides": "autograd.Function for a gradient of your own",
    "torch.library": "autograd.Function for a gradient of your own",
    "cpp_extension": "autograd.Function for a gradient of your own",
    "benchmark": "timeit, with synchronize() where a GPU is used",
    "bottleneck": "cProfile",
    "func": "autograd.grad",
    "torch.utils.dlpack": "torch.from_dlpack, which takes tensors of other libraries",
    "torchvision.models.utils": "torch.hub.load_state_dict_from_url",
    "functional_tensor": "torchvision.transforms.functional",
    "torchvision.models.detection": "models.CentreDetector, and `tinyvision train --task detection`",
    "torchvision.models.segmentation": "models.UNet, and `tinyvision train --task segmentation`",
    "Tensor.equal": "torch.equal",
    "Tensor.where": "torch.where",
}

_PATTERNS = tuple((why, tuple(patterns.split())) for why, patterns in KINDS)


def reason(room: str, name: str) -> str:
    """Why `room`, as PyTorch calls it, has no such name here."""
    spelled = f"{room}.{name}"
    for why, patterns in _PATTERNS:
        if any(fnmatchcase(spelled if "." in p else name, p) for p in patterns):
            return why
    return UNBUILT


def instead(room: str, name: str) -> str:
    """What there is instead of it, "" if nothing comes near."""
    return INSTEAD.get(f"{room}.{name}") or INSTEAD.get(name, "")
