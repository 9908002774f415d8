import keras

# How far, in unconstrained units, the hyperparameters could move in a training
# if all steps went one way: across a range and back, several times over.
REACH = 60.0
SMALLEST, LARGEST = 3e-3, 0.1


class PlannedRate(keras.callbacks.Callback):
    """Sets the learning rate of the hyperparameters by a training's length.

    Adam moves each by about its learning rate in a step, so a short training
    needs a larger one to come as far. The rate is 60 over the number of
    tuning steps that are planned, though no less than 0.003, that of the
    paper, which trains for tens of thousands of them, and no more than 0.1.
    """

    def on_train_begin(self, logs=None):
        steps, model = self.params.get("steps"), self.model
        if steps is None:
            # Not known before the first epoch is over.
            return
        planned = steps * self.params["epochs"] * model.tuning_steps
        rate = min(max(REACH / max(planned, 1), SMALLEST), LARGEST)
        for optimizer in (model.hyper_optimizer, model.scale_optimizer):
            optimizer.learning_rate = rate
