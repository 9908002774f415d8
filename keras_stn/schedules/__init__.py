from keras_stn.schedules.fixed import Fixed
from keras_stn.schedules.gaussian_perturbed import GaussianPerturbed
from keras_stn.schedules.recorded import Recorded
from keras_stn.schedules.schedule import Schedule
from keras_stn.schedules.sinusoid_perturbed import SinusoidPerturbed
