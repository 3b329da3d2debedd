"""Which arguments of which programs are secrets: a table.

Options whose names suggest a secret (`--password`, `--token=`) need no row: `kernel.redaction` knows them by the rule
that parameters have. A row is for an option with another name, for a part of a value, and for a position. The sources
are the manual pages of the programs.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


class Part(enum.Enum):
    """Which part of a value is the secret."""

    WHOLE = enum.auto()
    AFTER_COLON = enum.auto()  # user:password
    AFTER_PERCENT = enum.auto()  # user%password
    SOURCE = enum.auto()  # openssl's pass:password; file:, env:, fd: and stdin say where the password is
    USERINFO = enum.auto()  # user:password@host, with or without a scheme
    CRYPT_KEY = enum.auto()  # a table of the device mapper: what follows the cipher of the target crypt


_NO_OPTIONS: Mapping[str, Part] = MappingProxyType({})
_NO_WORDS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What is secret among the arguments of a program."""

    names: tuple[str, ...]  # of its file
    options: Mapping[str, Part] = field(default_factory=lambda: _NO_OPTIONS)  # value in the same or the next word
    attached: Mapping[str, Part] = field(default_factory=lambda: _NO_OPTIONS)  # `-pVALUE`; it asks where there is none
    takes: str = ""  # letters of other options that take a value
    subcommands: tuple[str, ...] = ()  # the row is in force after one of these words; (): at once
    positions: tuple[int, ...] = ()  # of secret words among those that are no options, from 1 on
    words: Mapping[str, int] = field(default_factory=lambda: _NO_WORDS)  # the secret is so many words on
    by_name: bool = False  # a word that suggests a secret (`psk`), without dashes, is followed by one
    words_as_options: bool = False  # its options are words with one dash, so letters do not stand for options
    parameters: bool = False  # the first word is a module, and those behind it are its parameters


def _mapped(part: Part, *options: str) -> Mapping[str, Part]:
    return MappingProxyType(dict.fromkeys(options, part))


_PASSWORD = _mapped(Part.WHOLE, "-p")
_LDAP = ("ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldapmodrdn", "ldapcompare", "ldapwhoami", "ldapexop")
_MYSQL = ("mysql", "mysqldump", "mysqladmin", "mysqlimport", "mysqlshow", "mysqlcheck", "mysqlbinlog", "mysqlslap",
          "mysqlsh", "mariadb", "mariadb-dump", "mariadb-admin", "mariadb-import", "mariadb-show")  # fmt: skip
_SNMP = ("snmpget", "snmpgetnext", "snmpbulkget", "snmpwalk", "snmpbulkwalk", "snmpset", "snmptable", "snmptrap",
         "snmpinform", "snmpstatus")  # fmt: skip

TOOLS: tuple[Tool, ...] = (
    Tool(names=("insmod", "modprobe"), takes="CdS", parameters=True),
    Tool(
        names=("curl",),
        options={
            **_mapped(Part.AFTER_COLON, "-u", "--user", "-U", "--proxy-user", "-E", "--cert", "--proxy-cert"),
            **_mapped(Part.WHOLE, "-b", "--oauth2-bearer", "--pass", "--proxy-pass"),
            **_mapped(Part.USERINFO, "-x", "--proxy", "--preproxy", "--socks5", "--socks5-hostname"),
        },
        takes="AcCdDeFhHKmoPQrtTwXyYz",
    ),
    Tool(names=("http", "https", "xh"), options=_mapped(Part.AFTER_COLON, "-a")),
    Tool(
        names=("podman", "skopeo", "buildah", "nerdctl", "ctr"),
        options=_mapped(Part.AFTER_COLON, "-u", "--user", "--creds", "--src-creds", "--dest-creds"),
        takes="epvw",
    ),
    Tool(
        names=("docker", "podman", "skopeo", "buildah", "nerdctl", "helm", "oras", "crane", "az", "oc"),
        options=_PASSWORD,
        takes="u",
        subcommands=("login",),
    ),
    Tool(names=_MYSQL, attached=_PASSWORD, takes="ehuPSDr"),
    Tool(names=("sshpass",), options=_PASSWORD, takes="fdP"),
    Tool(
        names=("mongo", "mongosh", "mongodump", "mongorestore", "mongoexport", "mongoimport"),
        options=_PASSWORD,
        takes="udhc",
    ),
    Tool(names=("redis-cli", "valkey-cli"), options=_mapped(Part.WHOLE, "-a", "--pass"), takes="hpnru"),
    Tool(names=("sqlcmd", "bcp", "tsql"), options=_mapped(Part.WHOLE, "-P"), takes="SUdQi"),
    Tool(
        names=("openssl",),
        words_as_options=True,
        options={
            **_mapped(Part.SOURCE, "-passin", "-passout", "-pass", "-srppass"),
            **_mapped(Part.WHOLE, "-k", "-K", "-iv", "-S", "-hmac", "-macopt", "-pkeyopt", "-psk"),
        },
    ),
    Tool(names=("openssl",), subcommands=("passwd",), positions=(1, 2)),
    Tool(
        names=("keytool", "jarsigner"),
        words_as_options=True,
        options=_mapped(Part.WHOLE, "-storepass", "-keypass", "-srcstorepass", "-deststorepass", "-new"),
    ),
    Tool(names=_LDAP, options=_mapped(Part.WHOLE, "-w"), takes="DHabefhloPpRsTUXyYz"),  # -D is a name, -W asks
    Tool(names=("ldappasswd",), options=_mapped(Part.WHOLE, "-w", "-a", "-s"), takes="DHefhoPpRtTUXyYz"),
    Tool(
        names=("smbclient", "rpcclient", "net", "smbget", "smbtree", "smbcquotas", "smbcacls", "nmblookup", "winexe"),
        options=_mapped(Part.AFTER_PERCENT, "-U", "--user"),
        takes="WnIpcDstdO",
    ),
    Tool(names=_SNMP, options=_mapped(Part.WHOLE, "-c", "-A", "-X", "-k", "-K"), takes="vualxneErtmMOLCZ"),
    Tool(names=("ipmitool", "ipmi-power"), options=_mapped(Part.WHOLE, "-P", "-k", "-y"), takes="IHUptoLCA"),
    Tool(names=("zip", "unzip"), options=_mapped(Part.WHOLE, "-P"), takes="dxtni"),
    Tool(names=("7z", "7za", "7zr", "rar", "unrar"), attached=_mapped(Part.WHOLE, "-p", "-hp"), takes="ovtmwsx"),
    Tool(names=("ssh-keygen", "ssh-keygen-g3"), options=_mapped(Part.WHOLE, "-N", "-P"), takes="tbCfmOIsVnzDwaYZ"),
    Tool(names=("rdesktop",), options=_PASSWORD, takes="udgkaTnsc"),
    Tool(names=("xfreerdp", "xfreerdp3", "wlfreerdp"), attached=_mapped(Part.WHOLE, "/p:", "/gp:")),
    Tool(names=("x11vnc",), words_as_options=True, options=_mapped(Part.WHOLE, "-passwd", "-viewpasswd")),
    Tool(names=("useradd", "usermod", "groupadd", "groupmod"), options=_PASSWORD, takes="bcdefgGksuURPZlL"),
    Tool(names=("htpasswd",), takes="C", positions=(3,)),
    Tool(names=("mokutil",), options=_mapped(Part.WHOLE, "--generate-hash", "-g"), takes="idf"),
    Tool(names=("wpa_passphrase",), positions=(2,)),
    Tool(names=("keyctl",), subcommands=("add",), positions=(3,)),
    Tool(names=("keyctl",), subcommands=("update", "instantiate"), positions=(2,)),
    Tool(names=("dmsetup",), options=_mapped(Part.CRYPT_KEY, "--table")),
    Tool(
        names=("ip",),
        subcommands=("xfrm", "macsec"),
        words=MappingProxyType({"auth": 2, "auth-trunc": 2, "enc": 2, "aead": 2, "key": 2}),
    ),
    Tool(names=("nmcli", "iw", "iwconfig", "iwctl", "wpa_cli", "aws"), by_name=True),
    Tool(names=("vault",), subcommands=("login",), positions=(1,)),
)

# Programs whose argument after -c (-lc, --command) is a command line.
SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish", "busybox", "su", "runuser", "script",
                    "flock", "sg", "pkexec"})  # fmt: skip
# Programs whose arguments make up a command line.
RUNNERS = frozenset({"ssh", "eval", "watch", "trap"})
# Options that look as if a secret followed, and take no value.
FLAGS = frozenset({"password-stdin", "with-token", "no-password", "ask-password", "askpass", "no-pass", "use-pin"})
# How headers of HTTP end that hold a secret under another name; their value is the rest of the line.
HEADERS = ("authorization",)
