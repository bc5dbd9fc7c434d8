"""Models: ModuloNet, all its parts, and how weights get in and out of them.

`ModuloNet` joins the parts and `build` makes one from plain data; `normalizers`, `encoders`,
`reducers`, `features_encoders` and `sequence_encoders` hold the parts; `weights` and the modules it
rests on (`reference_*`, `torch_state`, `limits`) know files.
"""

from sleep_lab.models.group_encoder import SignalGroup
from sleep_lab.models.modulonet import ModuloNet, build
from sleep_lab.models.normalizers import fit_standardization

__all__ = ["ModuloNet", "SignalGroup", "build", "fit_standardization"]
