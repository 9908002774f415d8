import pytest

from keras_stn import applications
from keras_stn.layers.hyper_layer import find_declarations
from keras_stn.plotting.panels import find_unit
from keras_stn.plotting.panels import group_by_name


def names_of(network):
    return list(dict.fromkeys(h.name for h in find_declarations(network)))


def test_the_language_model_has_rates_and_penalties():
    network = applications.lstm_language_model(
        20, units=4, batch_size=2, length=3
    )
    groups = group_by_name(names_of(network))
    assert list(groups) == ["Dropout rates", "Penalties"]
    assert sorted(groups["Penalties"]) == ["alpha", "beta"]
    assert "dropconnect" in groups["Dropout rates"]


def test_no_hyperparameter_of_an_image_network_is_left_over():
    groups = group_by_name(names_of(applications.small_cnn()))
    assert list(groups) == [
        *("Strengths of augmentation", "Dropout rates"),
        *("Cutout: holes", "Cutout: side of a hole"),
    ]


@pytest.mark.parametrize(
    "name, title",
    [
        ("Dropout_1", "Dropout rates"),
        ("attention_dropout", "Dropout rates"),
        ("conv2dropout", "Dropout rates"),
        ("spatialdropout", "Dropout rates"),
        ("input_scale", "Strengths of augmentation"),
        ("mix_up", "Strengths of augmentation"),
        ("mix_up_alpha", "Strengths of augmentation"),
        ("kernel_l1", "Penalties"),
        ("l2_3", "Penalties"),
        ("pool1", "Other hyperparameters"),
        ("huet", "Other hyperparameters"),
        ("alphabet", "Other hyperparameters"),
        ("label_smoothing", "Other hyperparameters"),
    ],
)
def test_whole_words_of_a_name_tell_its_panel(name, title):
    assert group_by_name([name]) == {title: [name]}


def test_a_unit_is_that_of_all_names():
    assert find_unit(["cutout_length"]) == "pixels"
    assert find_unit(["dropout_1", "dropout_2"]) == "dropped share"
    assert find_unit(["dropout_1", "l2"]) == "value"
