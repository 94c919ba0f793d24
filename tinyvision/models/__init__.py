"""Networks, with torchvision's names for models, parameters and weights: `import tinyvision.models as models`.

    models.resnet18(weights="IMAGENET1K_V1")      models.get_model("resnet18")      models.list_models()

Every network's page says what it is; `models.ResNet18_Weights.DEFAULT` says what is published for it.
"""

from ..interop.keras_import import from_keras
from ..interop.onnx_import import from_onnx
from ..interop.tflite_import import from_tflite
from .alexnet import *
from .centre_detector import *
from .cnn import SimpleCNN
from .convnext import *
from .denoiser import *
from .densenet import *
from .efficientnet import *
from .efficientnet_lite import *
from .face_embedder import *
from .googlenet import *
from .imagenet import imagenet_classes, imagenet_wordnet_ids
from .inception import *
from .mobilenetv2 import *
from .mobilenetv3 import *
from .pretrained import *
from .resnet import *
from .shufflenetv2 import *
from .squeezenet import *
from .unet import *
from .vgg import *
from .weights import *
