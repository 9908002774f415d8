import keras
from keras import ops
from keras.src.export.export_utils import get_input_signature

from keras_stn.conversion.conversion_summary import ConversionSummary
from keras_stn.hyperparameters import hyperparameter

# Keras knows of one optimizer, that of the weights.
FURTHER_OPTIMIZERS = ("hyper_optimizer", "scale_optimizer")
SEED_STATE = "seed_generator_state"


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
        states = [v for v in self.variables if v.name == SEED_STATE]
        return {f"seed_{i}": state for i, state in enumerate(states)}

    # What `keras.callbacks.OrbaxCheckpoint` writes, and Keras reads of it.
    def get_state_tree(self, value_format="backend_tensor"):
        tree = super().get_state_tree(value_format)
        for name in FURTHER_OPTIMIZERS:
            tree["optimizer_variables"][name] = self._create_nested_dict(
                getattr(self, name).variables, value_format
            )
        return tree

    def set_state_tree(self, state_tree):
        self._check_paths(state_tree)
        super().set_state_tree(state_tree)
        states = state_tree.get("optimizer_variables", {})
        for name in FURTHER_OPTIMIZERS:
            if name in states:
                self._assign_variable_values(
                    getattr(self, name).variables,
                    self._flatten_nested_dict(states[name]),
                )

    def _check_paths(self, state_tree):
        # Keras passes over what it does not find, and so would go on with
        # the weights it has.
        known = {variable.path for variable in self.variables}
        unknown = [
            path
            for kind in ("trainable_variables", "non_trainable_variables")
            for path in self._flatten_nested_dict(state_tree.get(kind, {}))
            if path not in known and not path.endswith(SEED_STATE)
        ]
        if unknown:
            raise ValueError(
                "The state holds weights that the model has under other "
                "names. `keras.models.load_model` gives the layers of a "
                "`keras.Sequential` other names than they had; make the model "
                "by the code that made it first, in a new process, and call "
                "its `load_weights`. "
                f"Received: {len(unknown)} unknown names, one of them "
                f"{unknown[0]!r}"
            )

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "train_steps": self.train_steps,
            "tuning_steps": self.tuning_steps,
            "groups": self.groups,
            "entropy_weight": self.entropy_weight,
            "tune_scales": self.tune_scales,
            "preset": self.preset,
            "hyperparameters": [
                hyperparameter.serialize(value)
                for value in self.further_hyperparameters
            ],
            "conversion_summary": self._conversion_summary
            and self._conversion_summary.get_config(),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        summary = config.pop("conversion_summary", None)
        config["network"] = keras.saving.deserialize_keras_object(
            config["network"], custom_objects=custom_objects
        )
        # Before there were presets all models were those of the paper.
        config.setdefault("preset", "paper")
        model = cls(**config)
        if summary is not None:
            model._conversion_summary = ConversionSummary(**summary)
        return model

    def get_compile_config(self):
        config = super().get_compile_config()
        if config:
            for name in FURTHER_OPTIMIZERS:
                optimizer = getattr(self, name)
                config[name] = (
                    None
                    if optimizer in self.planned_optimizers
                    else keras.saving.serialize_keras_object(optimizer)
                )
        return config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)
            self._build_hyper_optimizers()
