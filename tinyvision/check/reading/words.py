"""The names that people give to the same thing, as one table: role -> spellings, compared without case and underscores.

A role is an argument of a known op ("x", "weight", "dy"), one of its options ("stride", "kernel_height") or something
that only code in the wild asks for ("training", "learning_rate", "in_channels").
"""

import functools
import re
from collections.abc import Iterable, Sequence

_SPELLINGS = {
    "x": "x xs a aprev aprevious ain hprev prev previous inp inps input inputs inputdata inputtensor inputs_ indata "
    "img imgs image images data z zin feature features featuremap bottom batch tensor arr array matrix src source "
    "xin xinput inputx inputimage inputlayer layerinput signal val vals value values activations activation_in h "
    "scores logits ypred pred predictions yhat",
    "weight": "w ws weight weights wt wts kernel kernels filter filters filt filts k f theta gamma g scale kern wconv "
    "convw convweights wmat weightmatrix coefficients filtersweights filterweights gammas bw bngamma "
    "scaler",
    "bias": "b w0 bs bias biases beta shift betas offset offsets biasvector bvec bb bnbeta intercept "
    "kernelbias kernelsbias filterbias filtersbias biais",
    "labels": "y t labels label target targets ytrue truth groundtruth gt onehot yonehot trueys truelabels tlabels "
    "classes yt actual expected ys desired "
    "ytruth gtruth groundtruths ytarget ytargets ytar",
    "logits": "x scores logits logit z a ypred pred predictions yhat output outputs out input inputs score inp p probs "
    "probabilities prediction yp ypredicted yproba "
    "yout yhats predicted",
    "mask": "mask keep kept m",
    "a": "a x x1 left main branch f fx out",
    "b": "b y x2 right skip shortcut residual identity",
    "columns": "col cols column columns x dcol dx_cols xcol",
    "dy": "dy backwardsgradient backwardgradient backwardsgrad "
    "dout douts dz da dldout dldy dlda dldz grad grads gradoutput gradout gradoutputs outgrad outputgrad "
    "gradient gradients upstream upstreamgrad upstreamgradient delta deltas error errors err eta accumgrad topdiff "
    "residual dvalues dnext derror dh dlout dl doutput dprev gradinput gradin g nextgrad lossgrad outputgradient dloss "
    "output_delta dupstream gy dlossdout backwardgrad errortensor outerror prevgrad dlogits dscores dresult topgrad "
    "dldoutput gradz gradafter gradsout dforward chain inputgrad inputgradient diff ograd gout sensitivity",
    "cache": "cache caches ctx context saved memory tape state stored mask masks argmax maxidx indices idx switches "
    "masque",
    "context": "ctx context",
    "y": "y out output outputs a",
    "stride": "stride strides s step steps strideshape stridesize",
    "stride_height": "strideh sh stridey strideheight",
    "stride_width": "stridew sw stridex stridewidth",
    "padding": "padding pad pads p zeropad zeropadding paddingsize padsize npad",
    "kernel_size": "kernelsize ksize k f filtersize poolsize poolingsize size window windowsize kernel pool filter "
    "fsize poolshape kernelshape filtershape poolingshape windowshape psize kernelsizes kernelwidth_ field filterdim "
    "kerneldim pooldim windowdim filterdims kerneldims fdim kdim filterlen kernellen convsize poolfactor kernshape "
    "filtshape filtsize kerndim kernsize maxpoolingsize poolingkernel poolkernel poolfilter poolwindow fsz ksz "
    "sizefilter sizekernel pooling pools",
    "kernel_height": "poolh poolheight kernelh kernelheight kh fh hh filterh filterheight windowh ph hf hpool hfilter "
    "hkernel",
    "kernel_width": "poolw poolwidth kernelw kernelwidth kw fw ww filterw filterwidth windoww pw wf wpool wfilter "
    "wkernel",
    "eps": "eps epsilon e",
    "negative_slope": "negativeslope slope alpha a leak leakiness leakyslope leakrate leakyrate leakyalpha negslope c",
    "alpha": "alpha a slope",
    "approximate": "approximate approximation",
    "momentum": "momentum decay rho alpha",
    "p": "p rate droprate dropoutrate ratio dropoutratio dropratio prob probability dropprob dropoutprob keepprob keep "
    "pkeep pdrop dropp dropout keeprate keepratio tasa taxa taux dropprobability dropoutprobability droppercent "
    "dropoutpercent percent keepprobability",
    "axis": "axis dim",
    "training": "train training trainflg trainflag istrain istraining trainmode isttraining savecache usecache "
    "iftrain iftraining fortrain fortraining fortrainning "
    "entrenando entrenamiento "
    "keepcache istrainable phase cached",
    "mode": "mode",
    "learning_rate": "lr learningrate alpha eta stepsize rate learnrate",
    "in_channels": "inchannels inchannel cin inc inputchannels nin inplanes ninputs inputdepth numchannels nchannels "
    "channels c channelsin prevchannels inputdim indim infeatures inputsize insize din d i ni numin inputs inputunits "
    "ncin depth numinputs numfeatures nfeatures features ninput inputfeatures dimin nchannel "
    "inputd ind canalesentrada nentrada inunits fanin inputchannel dim dims nfeature size n "
    "sizein canales prevneurons prevnodes prevunits prevsize prevdim previouslayerneurons prevlayerneurons "
    "previouslayersize prevlayersize innum input",
    "out_channels": "outchannels outchannel cout outc outputchannels nout numfilters nfilters filters outplanes "
    "noutputs numkernels nkernels kernels o outputdim outdim outfeatures outputsize outsize dout m no numout units "
    "nunits neurons nneurons hidden nf ncout numoutputs channelsout noutput outputfeatures dimout outunits fanout "
    "numberfilters numfilter outputdepth nkernel numunits numberoffilters outputs depthout kernelnum filternum nfilter "
    "outch outputd outd kernnumber outputchannel kerneldepth canalessalida nsalida "
    "sizeout depth nodes numnodes nnodes numclasses nclasses outnum output outshape "
    "outputshape outputsshape numneurons",
    "input_shape": "inputshape inshape xshape inputdims inputshapes imageshape imgshape xdim xdims "
    "inputdimensions shape "
    "originalshape origshape shapeorigine shapein shapeinput inputsshape",
    "batch": "batchsize nbatch m minibatch",
    "filter_shape": "shape filtershape kernelshape wshape weightshape weightsshape filtersshape convshape "
    "convolutionshape",
    "activation": "activation act nonlinearity activationfn activationfunc activationfunction actfn actfunc func",
    "use_bias": "usebias bias hasbias withbias biais withbiais",
}
ROLES = {role: frozenset(spellings.replace("_", "").split()) for role, spellings in _SPELLINGS.items()}

# Dictionaries of options, and the keys under which each option is looked for in them.
DICTIONARIES = re.compile(r"(conv|pool|bn|ln|gn|dropout|norm|batchnorm)_?params?|hyper_?param(eter)?s?|hparams?"
                          r"|hparameters?|params?|options?|opts?|config|cfg|settings", re.I)  # fmt: skip
KEYS = {
    "stride": ("stride", "strides", "s", "pool_stride", "conv_stride"),
    "padding": ("pad", "padding", "p"),
    "kernel_size": ("f", "kernel_size", "pool_size", "filter_size", "size", "pool_f"),
    "kernel_height": ("pool_height", "pool_h", "kernel_height", "HH"),
    "kernel_width": ("pool_width", "pool_w", "kernel_width", "WW"),
    "eps": ("eps", "epsilon"),
    "momentum": ("momentum",),
    "p": ("p", "keep_prob", "rate"),
    "training": ("mode",),
    "axis": ("axis",),
}
TRAINING = ("train", "training", "is_train", "is_training")  # keys that are True while a network learns
TESTING = ("test", "testing", "is_test", "eval", "inference")  # and those that are not

# A parameter's name beside that of its layer, or beside the word parameter: fc_w, conv1_bias, weight_params.
_BESIDE = re.compile(r"_*(?:(?:fc|conv|conv2d|dense|linear|affine|bn|batch_?norm|layer|hidden|my|param)\d*_)?"
                     r"(?P<name>\w+?)(?:_(?:params?|parameters?|matrix|vector|vec|mat|tensor|arr(?:ay)?|var|val))?",
                     re.I)  # fmt: skip

# What people add to the name of data: label_tensor, y_batch, input_matrix.
_KIND = re.compile(r"(?P<name>\w+?)_?(?:tensor|vector|matrix|array|batch|minibatch|vec|mat|arr)s?")
_DATA = ("x", "logits", "labels", "dy")

# The numbers of a layer's inputs and outputs: input_neuron_size, num_output_nodes.
_SIDES = {"in_channels": "in", "out_channels": "out"}
_SIZE = re.compile(r"(?:n|num|no|nb|numof)?(?P<side>in|out)(?:put)?(?:neuron|unit|node|feature|channel|dimension|dim)s?"
                   r"(?:size|num|number|count|dim)?s?")  # fmt: skip

# How people begin the name of a count: nb_filters, n_filters, no_of_filters.
_COUNT = re.compile(r"^(number_?(of_?)?|num_?(of_?)?|nb_?|no_?(of_?)?|n_?)(?=\w{4})")

SCALES = ("scale", "std", "stddev")  # how the names of the size of the first weights end
SEEDS = ("seed", "randomseed", "rngseed", "randomstate")  # None would draw another mask each time
PENALTIES = ("l1", "l2", "reg", "regularization", "weightdecay", "l1reg", "l2reg", "l1lambda", "l2lambda", "lam",
             "lmbda", "lambd", "regstrength", "regularizer", "penalty", "l2penalty", "l2decay", "l2regularization",
             "decay", "wd", "reglambda", "lambdareg", "regularizationstrength")  # fmt: skip
LEDGERS = ("gradients", "grads", "gradient_dict", "grads_dict", "grad_dict")  # what backward writes into, beside a dy
RANDOM = ("rng", "randomstate", "generator", "random")  # what draws the first weights
BEFORE = ("prevlayer", "previouslayer", "prevlyr", "parent", "network", "net", "graph")  # what a layer hangs on
LABELS = ("label", "name", "id", "tag", "layername", "layerid", "scope", "index", "verbose", "debug")  # of a layer

FORWARDS = ("forward", "__call__", "forward_pass", "forward_propagate", "forward_propagation", "forward_prop", "fwd",
            "feed_forward", "feedforward", "propagate", "fprop", "apply", "call", "compute", "forwardprop", "predict",
            "calculate", "loss", "run", "activate", "forwards", "compute_loss", "calculate_loss", "calc_loss",
            "get_loss", "pool", "convolve")  # fmt: skip
BACKWARDS = ("backward", "backward_pass", "back_propagate", "backward_propagate", "backward_propagation", "backprop",
             "back_propagation", "backpropagation", "backpropagate", "back_prop", "bwd", "bprop", "gradient", "grad",
             "derivative", "backward_prop", "prime", "back", "diff", "backwards", "compute_gradients",
             "compute_gradient", "compute_grads", "compute_grad", "get_gradients", "get_gradient",
             "compute_derivative", "calculate_gradients", "calculate_gradient", "backward_delta")  # fmt: skip
# What some courses call beside a backward that gives no more than dx, with the same arguments: it makes the rest.
BESIDES = ("backward_update_gradient", "update_gradient", "backward_params", "backward_weights")
VALUES = ("data", "value", "val", "array", "w", "param", "weight", "tensor", "x", "v", "weights",
          "params")  # fmt: skip
GRADIENTS = ("grad", "gradient", "g", "dw", "d", "diff", "delta", "derivative")


# What each op's constructor may be told; a ReLU has no window, and a "size" is no number of channels to a pool.
OF_OP = {
    "conv2d": "in_channels out_channels filter_shape input_shape kernel_height kernel_width kernel_size stride "
    "stride_height stride_width padding activation use_bias learning_rate batch",
    "maxpool2d": "input_shape kernel_height kernel_width kernel_size filter_shape stride stride_height stride_width "
    "padding mode batch",
    "linear": "in_channels out_channels filter_shape input_shape activation use_bias learning_rate batch",
    "batchnorm_train": "in_channels input_shape eps momentum axis mode learning_rate batch",
    "dropout": "p input_shape mode batch",
}
OF_OP["avgpool2d"] = OF_OP["maxpool2d"]
OF_ANY = "input_shape axis learning_rate batch"
# An option that is called as others are elsewhere: alpha is a learning rate, but not to an ELU.
OF_ONE = {"leaky_relu": "negative_slope", "elu": "alpha", "gelu": "approximate"}
OF_OP.update((op, f"{option} input_shape axis batch") for op, option in OF_ONE.items())


def roles_of(op: str) -> frozenset:
    """The roles that an op's constructor may ask for."""
    return frozenset(OF_OP.get(op, OF_ANY).split())


@functools.lru_cache(4096)
def plain(name: str) -> str:
    """A name without case, underscores and the number at its end: "self.W_1" -> "w"."""
    return re.sub(r"\d+$", "", name.lower().replace("_", "")) or name.lower()


def method(names: Iterable[str], wanted: Sequence[str]) -> str | None:
    """The first of the wanted methods that is among the names; in another writing, forwardPass or _forward, if none is.

    `__call__` is only what is written so."""
    there = set(names)
    written = {n.lower().replace("_", ""): n for n in sorted(there, reverse=True) if not n.startswith("__")}
    found = (n if n in there else None for n in wanted)
    others = (written.get(n.replace("_", "")) for n in wanted if n != "__call__")
    return next((n for n in (*found, *others) if n is not None), None)


@functools.lru_cache(4096)
def is_role(name: str, role: str) -> bool:
    """True if people call `role` by that name, or by its plural, or by it beside the layer's: fc_w, weight_params."""
    words = ROLES[role]
    short = plain(name)
    if short in words or name.lower().replace("_", "") in words:
        return True
    if (count := _COUNT.sub("num", name.lower())) != name.lower() and plain(count) in words:
        return True
    if any(short in others for others in ROLES.values()):
        return False
    if len(short) > 2 and f"{short}s" in words:
        return True
    if role in _SIDES and (size := _SIZE.fullmatch(short)):
        return size["side"] == _SIDES[role]
    if role in _DATA and (kind := _KIND.fullmatch(name.lower())):
        return plain(kind["name"]) in words
    bare = _BESIDE.fullmatch(name) if role in ("weight", "bias") else None
    return bare is not None and plain(bare["name"]) in words


@functools.lru_cache(4096)
def gradient_of(path: tuple, role: str) -> bool:
    """True if the names on the way to a number read as the gradient of a parameter: ("grads", "W"), ("dW",), ..."""
    names = [str(p) for p in path if isinstance(p, str)]
    for marker in ("gradients", "gradient", "grads", "grad", "delta", "derivative", "diff", "nabla", "update"):
        marked = [n for n in names if marker in plain(n)]
        if marked:
            names = [re.split(r"[/.:]", n)[-1] for n in names]  # Dense/W
            rest = [n.lower().replace(marker, "", 1).strip("_") for n in names]  # its underscores are kept: fc_w
            rest += [plain(n).replace(marker, "", 1) for n in names]
            return any(r and (is_role(r, role) or (r[0] == "d" and is_role(r[1:] or "?", role))) for r in rest)
    last = plain(names[-1]) if names else ""
    found = re.fullmatch(r"d(?:(?:l|loss|j|e|c|cost)d)?(.+)", last)  # dW, dLdW, dJ_dW
    return found is not None and is_role(found[1], role)
