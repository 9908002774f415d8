import keras
from keras import ops
from keras.src.export.export_utils import get_input_signature

from keras_stn.hyperparameters import hyperparameter


class ModelSaving:
    """Mixin of `SelfTuningModel`: what is saved and exported of it."""

    def export(
        self,
        filepath,
        format="tf_saved_model",
        verbose=None,
        input_signature=None,
        **kwargs,
    ):
        """Exports the network, at the current hyperparameters.

        Arguments are those of `keras.Model.export`.
        """
        # Keras knows the inputs of a functional network only.
        if input_signature is None and hasattr(self.network, "inputs"):
            input_signature = get_input_signature(self.network)
        super().export(filepath, format, verbose, input_signature, **kwargs)

    # Keras does not save the states of random seeds; with them training goes
    # on after loading as if it had never been interrupted.
    def save_own_variables(self, store):
        super().save_own_variables(store)
        for name, state in self._seed_states().items():
            store[name] = ops.convert_to_numpy(state)

    def load_own_variables(self, store):
        store = {name: store[name] for name in store.keys()}
        for name, state in self._seed_states().items():
            if name in store:
                state.assign(store.pop(name))
        super().load_own_variables(store)

    def _seed_states(self):
        states = [v for v in self.variables if v.name == "seed_generator_state"]
        return {f"seed_{i}": state for i, state in enumerate(states)}

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "train_steps": self.train_steps,
            "tuning_steps": self.tuning_steps,
            "groups": self.groups,
            "entropy_weight": self.entropy_weight,
            "tune_scales": self.tune_scales,
            "hyperparameters": [
                hyperparameter.serialize(value)
                for value in self.further_hyperparameters
            ],
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        config["network"] = keras.saving.deserialize_keras_object(
            config["network"], custom_objects=custom_objects
        )
        return cls(**config)

    def get_compile_config(self):
        config = super().get_compile_config()
        if config:
            for name in ("hyper_optimizer", "scale_optimizer"):
                config[name] = keras.saving.serialize_keras_object(
                    getattr(self, name)
                )
        return config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)
            self._build_hyper_optimizers()
