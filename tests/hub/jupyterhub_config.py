"""A JupyterHub with this course, on this machine only, to try: any name, no password. `python tests/hub/walk.py` walks it.

What a real room changes: the authenticator; the spawner (the default one starts each server as its learner's own system
user); and https, without which a browser gives the camera only to pages of http://localhost and http://127.0.0.1.
"""

import os
import shutil
from pathlib import Path

COURSE = Path(__file__).resolve().parent.parent.parent  # may be read-only: nobody writes there
HOMES = Path(os.environ["HUB_HOMES"])  # a folder of its own for each learner


def own_lessons(spawner) -> None:
    """Each learner gets a copy of the lessons once; one that is there already stays as it is."""
    lessons = HOMES / spawner.user.name / "notebooks"
    if not lessons.exists():
        shutil.copytree(COURSE / "notebooks", lessons)


c = get_config()  # noqa: F821
c.JupyterHub.bind_url = f"http://127.0.0.1:{os.environ.get('HUB_PORT', 8000)}"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(HOMES / "{username}")
c.Spawner.args = ["--allow-root"]
c.Spawner.pre_spawn_hook = own_lessons
c.Spawner.default_url = "/lab/tree/notebooks/00_start_here.ipynb"
# So many threads for each learner that all of them fit on the cores, and the course found without being installed.
c.Spawner.environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(COURSE)}
c.JupyterHub.services = [{"name": "walk", "api_token": os.environ["HUB_TOKEN"]}]
scopes = ["admin:users", "admin:servers", "access:servers"]
c.JupyterHub.load_roles = [{"name": "walk", "scopes": scopes, "services": ["walk"]}]
