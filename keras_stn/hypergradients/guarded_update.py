from keras import ops

from keras_stn import backend


def guarded_update(space, optimizers, objective, gradients):
    """Updates λ and the scales if everything is finite, and nothing if not.

    Neither skipping the optimizers in a branch nor giving them zeros would
    do: a strategy forbids the one, and the other moves their averages. So
    they run, and what they did is taken back where it must not stand.

    Args:
        space: `HyperparameterSpace`.
        optimizers: List of the built optimizer of λ and, if the scales are
            tuned, that of the scales.
        objective: Scalar tensor, this replica's.
        gradients: List of tensors, this replica's, one an optimizer.

    Returns:
        Boolean scalar tensor, whether everything was finite on all replicas.
    """
    bad = sum(
        ops.sum(ops.cast(ops.logical_not(ops.isfinite(tensor)), "float32"))
        for tensor in (objective, *gradients)
    )
    is_finite = ops.equal(backend.sum_over_replicas(bad), 0.0)
    targets = [space.location, space.raw_scale][: len(optimizers)]
    variables = [
        variable
        for target, optimizer in zip(targets, optimizers)
        for variable in (target, *optimizer.variables)
    ]
    before = backend.read_all(variables)
    for target, optimizer, gradient in zip(targets, optimizers, gradients):
        optimizer.apply([ops.where(is_finite, gradient, 0.0)], [target])
    after = backend.read_all(variables)
    after[0] = space.clip(after[0])
    backend.assign_all(
        variables,
        [ops.where(is_finite, a, b) for a, b in zip(after, before)],
    )
    return is_finite
