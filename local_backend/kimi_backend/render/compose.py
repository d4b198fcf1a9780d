"""One Docker Compose file per node."""

from __future__ import annotations

from collections.abc import Sequence

from ..launch import Site
from .errors import RenderError
from .instances import Instance
from .keys import unwrap, with_key
from .mpi import refuse_world
from .options import Options
from .probe import TIMEOUT, probe_words
from .rendered import Rendered
from .routing import router_argv
from .site import in_url, is_loopback
from .words import Command
from .yaml_text import Note, Tree, documents

__all__ = ["SUFFIX", "write_compose"]

SUFFIX = ".compose.yaml"
SECRET = "/run/secrets/api-key"
CONFIG_FOLDER = "/etc/kimi-backend"


def write_compose(instances: Sequence[Instance], site: Site, options: Options) -> Rendered:
    """`node0.compose.yaml`, `node1.compose.yaml` …; the first holds the router too, if there are several instances.

    Raises:
        RenderError: an MPI world, or no image.
    """
    files: dict[str, str] = {}
    for at, instance in enumerate(instances):
        refuse_world(instance.launch, "compose")
        for command in instance.literal():
            head = command.ranks.start == 0
            services: dict[str, Tree | Note] = {"engine": _engine(instance, command, options)}
            if len(instances) > 1 and at == 0 and head:
                services["router"] = _router(instances, site, options)
            project: dict[str, Tree | Note] = {"name": options.name, "services": services}
            if site.api_key_file and head:
                project["secrets"] = {"api-key": {"file": _dollars(site.api_key_file)}}
            name = instance.node(command.ranks.start) + SUFFIX
            files[name] = documents([project], _notes(instance, command.ranks.start, name, site, options))
            files |= command.files
    return Rendered(files=files)


def _notes(instance: Instance, rank: int, name: str, site: Site, options: Options) -> str:
    where = instance.addresses[rank] if instance.addresses else "this machine"
    lines = [f"{instance.name}: node {rank} of {instance.launch.nodes}, on {where}. Written by kimi-backend."]
    lines.append(f"Start it there with: docker compose -f {name} up -d")
    lines.append("Start all nodes, in any order. To stop, stop the first node of an instance first, which ends its requests.")
    lines.append("Docker restarts what ends, not what is unhealthy: watch `docker ps`, or let a program do it.")
    if rank == 0 and is_loopback(site.host):
        port = options.router_port if instance.label else site.port
        lines.append(
            f"The containers use the host's network, so clients reach port {port} from the first node only, as the site says."
        )
        if instance.label:
            lines.append("The engines listen on their nodes' own addresses, because the router comes over the network.")
    return "\n".join(lines)


def _dollars(text: str) -> str:
    """Compose puts variables into every value; a doubled dollar sign is one."""
    return text.replace("$", "$$")


def _texts(words: Sequence[str]) -> list[Tree | Note]:
    return [_dollars(word) for word in words]


def _command(argv: Sequence[str]) -> dict[str, Tree | Note]:
    """The image's own entrypoint is replaced, whatever it is; the flags stand apart from the program."""
    own = len(argv) - len(unwrap(argv)[0])
    first = next((at for at, word in enumerate(argv) if at > own and word.startswith("--")), len(argv))
    return {"entrypoint": _texts(argv[:first]), "command": _texts(argv[first:])}


def _common(image: str, options: Options) -> dict[str, Tree | Note]:
    return {
        "image": image,
        "network_mode": "host",
        "init": True,
        "restart": "unless-stopped",
        "stop_grace_period": f"{options.drain_seconds + 60}s",
        "security_opt": ["no-new-privileges:true"],
    }


def _engine(instance: Instance, command: Command, options: Options) -> Tree:
    site, launch, rank = instance.site, instance.launch, command.ranks.start
    image = site.image or instance.engine.traits.image
    if not image:
        raise RenderError(f"There is no official image of {instance.engine.traits.title}; name one with the site's image.")
    key = site.api_key_file and rank == 0
    words = with_key(instance.engine, command.words, (SECRET,)) if key else command.words
    service = _common(image, options)
    service |= _command(["".join(part for part in word if isinstance(part, str)) for word in words])
    if command.files:
        service["working_dir"] = CONFIG_FOLDER
    env = {name: "".join(part for part in word if isinstance(part, str)) for name, word in command.env.items()}
    service["environment"] = {name: _dollars(value) for name, value in env.items()}
    service["ipc"] = "host"
    service["ulimits"] = {"memlock": -1, "stack": 67108864, "nofile": 1048576}
    service["cap_add"] = ["IPC_LOCK", *(["SYS_NICE"] if launch.cpu_experts else [])]
    if site.infiniband:
        service["devices"] = ["/dev/infiniband:/dev/infiniband"]
    gpus: Tree = {"driver": "nvidia", "count": launch.gpus_per_node, "capabilities": ["gpu"]}
    service["deploy"] = {"resources": {"reservations": {"devices": [gpus]}}}
    service["volumes"] = [
        _bind(site.model_path, site.model_path),
        *(_bind(f"./{name}", f"{CONFIG_FOLDER}/{name}") for name in command.files),
    ]
    if key:
        service["secrets"] = ["api-key"]
    if rank == 0:
        service["healthcheck"] = _health(instance, options)
    return service


def _bind(source: str, target: str) -> Tree:
    bind: Tree = {"create_host_path": False}
    return {"type": "bind", "source": _dollars(source), "target": _dollars(target), "read_only": True, "bind": bind}


def _health(instance: Instance, options: Options) -> Note:
    site = instance.site
    host = "127.0.0.1" if site.host in ("0.0.0.0", "::") else site.host
    words = probe_words(
        instance.engine, f"http://{in_url(host)}:{site.port}", site.served_name, SECRET if site.api_key_file else None
    )
    return Note(
        "Healthy is a server that generates a token.",
        {
            "test": ["CMD", *_texts(words)],
            "interval": "60s",
            "timeout": f"{TIMEOUT}s",
            "retries": 5,
            "start_period": f"{options.start_seconds}s",
        },
    )


def _router(instances: Sequence[Instance], site: Site, options: Options) -> Tree:
    heads = [instance.addresses[0] for instance in instances]
    argv = router_argv(instances, heads, site, port=options.router_port, key=SECRET if site.api_key_file else None)
    service = _common(options.router_image, options) | _command(argv)
    if site.api_key_file:
        service["secrets"] = ["api-key"]
    return service
