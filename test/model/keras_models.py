"""
Writes the Keras models of test/model/keras.test.ts: their JSON and what Keras itself counts.

    python3 -m venv venv && venv/bin/pip install tensorflow-cpu==2.21.0 tf_keras==2.21.0
    venv/bin/python test/model/keras_models.py

Weights are never loaded: keras.applications builds each model with random ones.
"""
import gzip
import json
import math
import os
import zipfile
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras  # noqa: E402
import tf_keras  # noqa: E402

FOLDER = Path(__file__).parent / "fixtures" / "keras"
APPLICATIONS = [
    "MobileNetV2", "MobileNetV3Small", "ResNet50", "EfficientNetB0", "DenseNet121", "InceptionV3", "VGG16", "NASNetMobile", "ConvNeXtTiny",
]


def images(k):
    """Windows, paddings and strides of all kinds: the last Dense counts what is left of the image."""
    layers = k.layers
    return k.Sequential([
        k.Input((33, 29, 3)),
        layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(8, (4, 2), padding="same", use_bias=False),
        layers.BatchNormalization(scale=False),
        layers.DepthwiseConv2D(3, dilation_rate=2, padding="same", depth_multiplier=2),
        layers.PReLU(shared_axes=[1, 2]),
        layers.SeparableConv2D(12, 3, strides=2, padding="same"),
        layers.Conv2D(12, 5, padding="same", groups=4),
        layers.UpSampling2D((3, 2), interpolation="bilinear"),
        layers.MaxPooling2D(2, padding="same"),
        layers.AveragePooling2D(3, strides=2, padding="same"),
        layers.ZeroPadding2D(((1, 2), (0, 3))),
        layers.Conv2DTranspose(6, 3, strides=2, padding="same"),
        layers.GroupNormalization(3) if k is keras else layers.GroupNormalization(groups=3),
        layers.Conv2DTranspose(6, 2, strides=3),
        layers.Conv2DTranspose(5, 4, strides=2, padding="same"),
        layers.Cropping2D(((1, 0), (2, 3))),
        layers.LayerNormalization(axis=[1, 3]),
        layers.SpatialDropout2D(0.2),
        layers.LeakyReLU(),
        layers.MaxPooling2D(3),
        layers.AveragePooling2D((2, 3), strides=1),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ], name="images")


def sequences(k):
    """Embeddings, recurrent layers and attention."""
    layers = k.layers
    ids = k.Input((50,), name="ids")
    x = layers.Embedding(1000, 16)(ids)
    x = layers.Conv1D(24, 3, padding="causal", dilation_rate=2, activation="silu")(x)
    x = layers.Conv1D(24, 4, padding="same", strides=2)(x)
    x = layers.MaxPooling1D(2, padding="same")(x)
    x = layers.Bidirectional(layers.LSTM(20, return_sequences=True), merge_mode="sum")(x)
    x = layers.GRU(12, return_sequences=True, go_backwards=True, dropout=0.1)(x)
    x = layers.GRU(12, return_sequences=True, reset_after=False)(x)
    y = layers.MultiHeadAttention(3, 8, value_dim=5, dropout=0.1)(x, x, use_causal_mask=True)
    x = layers.LayerNormalization()(layers.Dropout(0.1)(y) + x)
    y = layers.MultiHeadAttention(2, 4, use_bias=False, output_shape=7)(query=x, value=x)
    z = layers.Attention(use_scale=True)([y, y])
    x = layers.Concatenate()([x, z])
    x = layers.TimeDistributed(layers.Dense(9, activation="gelu"))(x)
    x = layers.SimpleRNN(11, use_bias=False)(x)
    x = layers.Dense(1, activation="sigmoid")(x)
    return k.Model(ids, x, name="sequences")


def branches(k):
    """Nested, shared and frozen models, merges, and two outputs with a loss each."""
    layers = k.layers
    image = k.Input((16, 16, 3), name="image")
    other = k.Input((8,), name="other")
    inner = k.Input((8, 8, 4))
    block = k.Model(inner, layers.Add()([layers.Conv2D(4, 3, padding="same")(inner), inner]), name="block")
    frozen = k.Sequential([k.Input((8,)), layers.Dense(4, activation="tanh"), layers.BatchNormalization()], name="frozen")
    frozen.trainable = False
    x = layers.Rescaling(1 / 255.0)(layers.RandomFlip("horizontal")(image))
    x = layers.Conv2D(4, 3, strides=2, padding="same")(layers.Normalization()(x))
    x = block(block(x))
    x = layers.Multiply()([x, layers.Reshape((1, 1, 4))(layers.GlobalAveragePooling2D()(x))])
    x = x * 0.5 + 1.0
    a = layers.Permute((2, 1))(layers.Reshape((-1, 4))(x))
    b = layers.RepeatVector(4)(layers.Dense(64)(other))
    x = layers.Average()([a, b, layers.Maximum()([a, b])])
    x = layers.Concatenate(axis=1)([x, layers.Subtract()([a, b])])
    x = layers.GlobalMaxPooling1D()(x)
    y = layers.Dot(axes=1)([frozen(other), layers.Dense(4)(x)])
    first = layers.Dense(3, name="first")(x)
    second = layers.Dense(2, activation="relu", name="second")(layers.Concatenate()([x, y]))
    model = k.Model([image, other], [first, second], name="branches")
    model.compile(loss={"first": k.losses.SparseCategoricalCrossentropy(from_logits=True), "second": "mse"})
    return model


def write(name, model, version, archive=False):
    entry = {
        "version": version,
        "parameters": model.count_params(),
        "trainable": sum(math.prod(weight.shape) for weight in model.trainable_weights),
    }
    (FOLDER / f"{name}.json.gz").write_bytes(gzip.compress(model.to_json().encode(), mtime=0))
    if archive:
        save_without_weights(model, FOLDER / f"{name}.keras")
    return entry


def save_without_weights(model, path):
    """As Keras saves it, with a few bytes in place of the weights."""
    model.save(path)
    with zipfile.ZipFile(path) as saved:
        members = {name: saved.read(name) for name in saved.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as slim:
        for name, data in members.items():
            slim.writestr(name, b"weights" if name.endswith(".h5") else data)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    cases = {}
    for name in APPLICATIONS:
        cases[name] = write(name, getattr(keras.applications, name)(weights=None), f"keras {keras.__version__}")
    for make in (images, sequences, branches):
        cases[make.__name__] = write(make.__name__, make(keras), f"keras {keras.__version__}", archive=make is branches)
        cases[f"{make.__name__}-2"] = write(f"{make.__name__}-2", make(tf_keras), f"tf_keras {tf_keras.__version__}")
    (FOLDER / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
