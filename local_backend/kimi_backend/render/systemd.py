"""One systemd unit per node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..launch import Invocation, Site
from .errors import RenderError
from .found import Found
from .instances import Instance
from .keys import unwrap, with_key
from .mpi import refuse_world
from .options import Options
from .order import by_instance
from .rendered import Rendered
from .routing import router_argv
from .script import files_named
from .site import is_loopback
from .unit_words import credential_path, quote, read_unit_words, unit_lines
from .words import Command, text_of

__all__ = ["read_systemd", "write_systemd"]

SUFFIX = ".service"
CREDENTIAL = "${CREDENTIALS_DIRECTORY}/api-key"
ENV = "/usr/bin/env"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def write_systemd(instances: Sequence[Instance], site: Site, options: Options) -> Rendered:
    """`node0.service`, `node1.service` …, and a `router.service` for the first node before several instances.

    Raises:
        RenderError: an MPI world, or a text that no unit can carry.
    """
    files: dict[str, str] = {}
    for instance in instances:
        refuse_world(instance.launch, "systemd")
        for command in instance.literal():
            name = instance.node(command.ranks.start) + SUFFIX
            files[name] = _node(instance, command, name, site, options)
            files |= command.files
    if len(instances) > 1:
        files[f"router{SUFFIX}"] = _router(instances, site, options)
    return Rendered(files=files)


def _node(instance: Instance, command: Command, name: str, site: Site, options: Options) -> str:
    rank, launch, traits = command.ranks.start, instance.launch, instance.engine.traits
    where = instance.addresses[rank] if instance.addresses else "this machine"
    notes = [
        f"# {instance.name}: node {rank} of {launch.nodes}, on {where}. Written by kimi-backend. Install and start it there with:"
    ]
    notes += _install(name, options)
    notes += [f"#   install -D -m 644 {file} {options.config_folder}/{file}" for file in command.files]
    notes.append(
        "# `systemctl start` returns before the model is loaded. To stop, stop an instance's first node first, then the others."
    )
    if rank == 0 and is_loopback(site.host):
        port = options.router_port if instance.label else site.port
        notes.append(f"# Clients reach port {port} from the first node only; from elsewhere: ssh -L {port}:127.0.0.1:{port} NODE")
        if instance.label:
            notes.append("# The engines listen on their nodes' own addresses, because the router comes over the network.")
    words = [quote(text_of(word, {}), command=True) for word in command.words]
    key = site.api_key_file if rank == 0 else None
    if key:
        wrapped = with_key(instance.engine, command.words, ("",))
        words = [
            CREDENTIAL if word == ("",) and at == 4 else quote(text_of(word, {}), command=True) for at, word in enumerate(wrapped)
        ]
    settings = [f"Environment={quote(f'{name}={text_of(word, {})}', command=False)}" for name, word in command.env.items()]
    if command.files:
        settings.append(f"WorkingDirectory={options.config_folder.replace('%', '%%')}")
    return _unit(notes, f"{traits.title} {traits.version}: {instance.name} node {rank}", settings, words, key, options)


def _install(name: str, options: Options) -> list[str]:
    unit = name if name.startswith("router") else f"{options.name}{SUFFIX}"
    unit = f"{options.name}-{unit}" if unit == name else unit
    return [f"#   install -m 644 {name} /etc/systemd/system/{unit}", f"#   systemctl daemon-reload; systemctl enable --now {unit}"]


def _unit(notes: list[str], what: str, settings: list[str], words: list[str], key: str | None, options: Options) -> str:
    if options.binaries:
        settings = [f"Environment={quote(f'PATH={options.binaries}:{SYSTEM_PATH}', command=False)}", *settings]
    lines = [*notes, "[Unit]", f"Description={what}", "Wants=network-online.target", "After=network-online.target"]
    lines += ["StartLimitIntervalSec=0", "", "[Service]", "Type=exec"]
    lines += [f"User={options.user}"] if options.user else []
    lines += [f"LoadCredential=api-key:{credential_path(key)}"] if key else []
    lines += settings
    lines.append(f"ExecStart={ENV} \\")
    lines += [*(f"    {word} \\" for word in words[:-1]), f"    {words[-1]}"]
    lines += [
        "# SIGTERM goes to the engine's first process alone, which lets requests end; then every process of the unit is killed,",
        "# since an engine's workers outlive it otherwise.",
        "KillMode=mixed",
        f"TimeoutStopSec={options.drain_seconds + 60}",
        "Restart=always",
        "RestartSec=30",
        "LimitMEMLOCK=infinity",
        "LimitNOFILE=1048576",
        "TasksMax=infinity",
        "NoNewPrivileges=yes",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _router(instances: Sequence[Instance], site: Site, options: Options) -> str:
    heads = [instance.addresses[0] for instance in instances]
    # The mark is no word of ours: a path of systemd's own stands there, and must stay a variable.
    argv = router_argv(instances, heads, site, port=options.router_port, key="\0" if site.api_key_file else None)
    words = [CREDENTIAL if word == "\0" else quote(word, command=True) for word in argv]
    notes = [f"# {options.name}: the router before {len(instances)} instances, on {heads[0]}. Written by kimi-backend."]
    notes += _install(f"router{SUFFIX}", options)
    return _unit(notes, f"{options.name}: router", [], words, site.api_key_file, options)


def read_systemd(files: Mapping[str, str]) -> tuple[list[Found], Found | None]:
    """The instances and the router that the units start.

    Raises:
        RenderError: a unit is missing, or one that is no longer of our form.
    """
    instances: list[Found] = []
    for names in by_instance(files, SUFFIX):
        read = [_read(name, files) for name in names]
        instances.append(Found(where=names[0], invocations=tuple(command for command, _ in read), key_file=read[0][1]))
    if (router := f"router{SUFFIX}") not in files:
        return instances, None
    command, key = _read(router, files)
    return instances, Found(where=router, invocations=(command,), key_file=key)


def _read(name: str, files: Mapping[str, str]) -> tuple[Invocation, str | None]:
    env: dict[str, str] = {}
    starts: list[list[str]] = []
    key: str | None = None
    variables = {"CREDENTIALS_DIRECTORY": "credential:"}
    try:
        for _, section, setting, value in unit_lines(files[name]):
            if section != "Service":
                continue
            if setting == "Environment":
                words = read_unit_words(value, {}, command=False)
                env |= {name: rest for name, _, rest in (word.partition("=") for word in words)}
            elif setting == "LoadCredential":
                key = value.partition(":")[2].replace("%%", "%")
            elif setting == "ExecStart":
                starts.append(read_unit_words(value, variables, command=True))
        if len(starts) != 1 or starts[0][:1] != [ENV]:
            raise RenderError(f"there must be one ExecStart line that begins with {ENV}.")
        argv, _ = unwrap(starts[0][1:])
    except RenderError as problem:
        raise RenderError(f"{name}: {problem}") from problem
    env.pop("PATH", None)
    return Invocation(argv=tuple(argv), env=env, files=files_named(argv, files)), key
