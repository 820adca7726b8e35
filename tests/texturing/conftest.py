"""The painted ball with a texture from most of its views, made once."""

from typing import NamedTuple

import pytest

from neus.scenes.scene import Scene
from neus.texturing.texture import TextureFacts, made_texture
from neus.texturing.textured_mesh import TexturedMesh
from tests.texturing.painted import ball, ball_scene

N_VIEWS, HELD_OUT = 15, (3, 7, 11)


class TexturedBall(NamedTuple):
    scene: Scene
    model: TexturedMesh
    facts: TextureFacts


@pytest.fixture(scope="session")
def textured_ball() -> TexturedBall:
    scene = ball_scene(N_VIEWS, 128)
    training = scene.subset([view for view in range(N_VIEWS) if view not in HELD_OUT])
    return TexturedBall(scene, *made_texture(ball(3), training))
