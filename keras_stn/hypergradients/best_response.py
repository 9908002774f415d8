from keras_stn import backend


def best_response(
    space, loss_function, groups, perturb, entropy_weight, loss_scale=None
):
    """The gradient of the tuning objective through the best response.

    The objective is the expected loss on tuning data under the perturbation,
    less the weighted entropy of the perturbation:

        E_ε[ loss(λ + σ ⊙ ε, φ) ] − τ H(σ)

    The loss depends on λ only through the weights' response to it: nothing is
    dropped, augmented or penalized in a tuning step.

    Args:
        space: `HyperparameterSpace`.
        loss_function: Callable that maps a `Sample` to a scalar tensor, the
            loss on tuning data.
        groups: Integer or scalar tensor, the number of perturbations.
        perturb: Boolean. If `False`, the scales are fixed: the loss is taken
            at λ itself, without the entropy.
        entropy_weight: Float, τ.
        loss_scale: Scalar tensor, by how much the objective is larger while
            it is differentiated, lest gradients vanish in half precision; or
            `None`.

    Returns:
        Tuple of the loss, the objective, and a list of its gradients with
        respect to λ (`location`) and, if `perturb`, s (`raw_scale`).

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088), algorithm 1,
        and its objective with the entropy of the perturbation.
    """
    _, replicas = backend.replica()

    def objective():
        loss = value = loss_function(
            space.sample(groups, perturb=perturb, silent=False)
        )
        if perturb:
            # Gradients are summed over the replicas, whose losses are divided
            # by their number already.
            value = loss - entropy_weight * space.entropy() / replicas
        scaled = value if loss_scale is None else value * loss_scale
        return scaled, (loss, value)

    variables = [space.location] + [space.raw_scale] * perturb
    (_, (loss, value)), gradients = backend.gradients(objective, variables)
    if loss_scale is not None:
        gradients = [gradient / loss_scale for gradient in gradients]
    return loss, value, gradients
