"""Secrets in command lines: real ones by the hundred, ordinary ones that stay whole, and generated ones."""

import json
import shlex
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.kernel.parameter import REDACTED, SecretNames
from kmodmon.kernel.redaction import redact_arguments, redact_text

SHIPPED = SecretNames()
SECRET = "topsecret"


def redacted(*arguments: str) -> tuple[str, ...]:
    return redact_arguments(arguments, SHIPPED)


# Each has the secret in it, and what is shown of it; the words are those of a POSIX shell.
SECRETS = [
    # a module's parameters, in a shell's argument too
    ("insmod x.ko psk=topsecret level=5", "insmod x.ko psk=<redacted> level=5"),
    ("modprobe wifi.api_key=topsecret", "modprobe 'wifi.api_key=<redacted>'"),
    ("modprobe wifi pin=topsecret", "modprobe wifi 'pin=<redacted>'"),
    ("insmod x.ko auth=topsecret passcode=topsecret seed=topsecret", None),
    ("insmod x.ko private=topsecret hmac=topsecret salt=topsecret", None),
    ("insmod x.ko 'psk=topsecret topsecret'", "insmod x.ko 'psk=<redacted>'"),
    ("insmod x.ko 'level=1 psk=topsecret'", "insmod x.ko 'level=1 psk=<redacted>'"),
    ("sh -c 'insmod x.ko psk=topsecret'", "sh -c 'insmod x.ko psk=<redacted>'"),
    ("sh -c 'insmod x.ko psk=topsecret level=1; echo done'", "sh -c 'insmod x.ko psk=<redacted> level=1; echo done'"),
    ("sh -c psk=topsecret", None),
    ("sh -c 'insmod x.ko psk=\"top secret topsecret\" level=1'", "sh -c 'insmod x.ko psk=\"<redacted>\" level=1'"),
    ("sh -c 'insmod x.ko psk=a\"b topsecret\"c level=1'", None),
    (r"sh -c 'insmod x.ko psk=a\ topsecret level=1'", "sh -c 'insmod x.ko psk=<redacted> level=1'"),
    ("sh -c \"insmod x.ko 'psk=topsecret'; true\"", "sh -c \"insmod x.ko 'psk=<redacted>'; true\""),
    ("bash -lc \"ssh db1 'sudo sh -c \\\"insmod x.ko psk=topsecret level=3\\\"'\"", None),
    ("sh -c 'echo \"$(insmod x.ko psk=\"a topsecret\" level=1)\"'", None),
    ("sh -c \"# don't\ninsmod x.ko psk='a topsecret' level=1\"", None),
    ("sh -c \"echo it's; insmod x.ko psk=topsecret\"", None),
    ("sh -c 'insmod x.ko \\\n  psk=topsecret'", None),
    ("bash -c \"insmod x.ko psk=\\$'a\\\\'topsecret'\"", None),
    ("ssh db1 'insmod x.ko psk=topsecret && reboot'", "ssh db1 'insmod x.ko psk=<redacted> && reboot'"),
    ("su -c 'TOKEN=topsecret insmod x.ko' root", "su -c 'TOKEN=<redacted> insmod x.ko' root"),
    ("watch 'curl -u bob:topsecret http://h/'", "watch 'curl -u bob:<redacted> http://h/'"),
    # environment
    ("env TOKEN=topsecret cmd --fast", "env 'TOKEN=<redacted>' cmd --fast"),
    ("sh -c 'export PASSWORD=topsecret; make'", "sh -c 'export PASSWORD=<redacted>; make'"),
    ("sh -c 'PGPASSWORD=topsecret psql -h db1'", "sh -c 'PGPASSWORD=<redacted> psql -h db1'"),
    ("systemd-run --setenv=API_KEY=topsecret cmd", "systemd-run '--setenv=API_KEY=<redacted>' cmd"),
    ("docker run -e DB_PASSWORD=topsecret -p 80:80 img", "docker run -e 'DB_PASSWORD=<redacted>' -p 80:80 img"),
    # options by their names
    ("wget --password topsecret --user bob http://h/", "wget --password '<redacted>' --user bob http://h/"),
    ("wget --password=topsecret http://h/", "wget '--password=<redacted>' http://h/"),
    ("tool -password topsecret", None),
    ("tool --client-secret topsecret --verbose", "tool --client-secret '<redacted>' --verbose"),
    ("kubectl --token=topsecret get pods", "kubectl '--token=<redacted>' get pods"),
    ("kubectl create secret generic s --from-literal=password=topsecret", None),
    ("ansible all -e 'ansible_become_pass=topsecret x=1'", None),
    ("git -c http.extraHeader='Authorization: Basic topsecret' pull", None),
    ("cmake -Dsigning.key=topsecret .", None),
    ("cmake -Dpin=topsecret .", None),
    ("gpg --passphrase topsecret --batch", "gpg --passphrase '<redacted>' --batch"),
    # options of programs
    ("curl -u bob:topsecret http://h/", "curl -u 'bob:<redacted>' http://h/"),
    ("curl -ubob:topsecret http://h/", "curl '-ubob:<redacted>' http://h/"),
    ("curl -sSu bob:topsecret -o out http://h/", "curl -sSu 'bob:<redacted>' -o out http://h/"),
    ("curl --user bob:topsecret http://h/", "curl --user 'bob:<redacted>' http://h/"),
    ("curl --user=bob:topsecret http://h/", "curl '--user=bob:<redacted>' http://h/"),
    ("curl -U bob:topsecret -x proxy:3128 http://h/", "curl -U 'bob:<redacted>' -x proxy:3128 http://h/"),
    ("curl -x bob:topsecret@proxy:3128 http://h/", "curl -x 'bob:<redacted>@proxy:3128' http://h/"),
    ("curl -E client.pem:topsecret https://h/", "curl -E 'client.pem:<redacted>' https://h/"),
    ("curl --oauth2-bearer topsecret https://h/", None),
    ("curl -b session=topsecret https://h/", None),
    ("curl --cookie topsecret https://h/", None),
    ("curl -H 'Authorization: Bearer topsecret' https://h/", "curl -H 'Authorization: <redacted>' https://h/"),
    ("curl -H 'authorization:topsecret' https://h/", None),
    ("curl -HAuthorization:\\ Bearer\\ topsecret https://h/", None),
    ("curl --header 'X-Api-Key: topsecret' https://h/", "curl --header 'X-Api-Key: <redacted>' https://h/"),
    ("curl -H 'Cookie: a=topsecret; b=topsecret' https://h/", "curl -H 'Cookie: <redacted>' https://h/"),
    ("wget --header='Authorization: Basic topsecret' http://h/", None),
    ("sh -c 'curl -H \"Authorization: Bearer topsecret\" -o out https://h/'", None),
    ("sh -c 'printf \"GET / HTTP/1.0\\r\\nAuthorization: Basic topsecret\\r\\n\" | nc h 80'", None),
    ("mysql -u root -ptopsecret db", "mysql -u root '-p<redacted>' db"),
    ("mysqldump --password=topsecret -h db1 db", "mysqldump '--password=<redacted>' -h db1 db"),
    ("sshpass -p topsecret ssh db1", "sshpass -p '<redacted>' ssh db1"),
    ("sshpass -ptopsecret ssh -p 22 db1", None),
    ("openssl rsa -in k.pem -passin pass:topsecret", "openssl rsa -in k.pem -passin 'pass:<redacted>'"),
    ("openssl rsa -in k.pem -aes256 -passout pass:topsecret", None),
    ("openssl enc -aes-256-cbc -k topsecret -in f", "openssl enc -aes-256-cbc -k '<redacted>' -in f"),
    ("openssl dgst -hmac topsecret f", "openssl dgst -hmac '<redacted>' f"),
    ("openssl passwd -6 topsecret", "openssl passwd -6 '<redacted>'"),
    ("ldapsearch -x -D cn=admin,dc=x -w topsecret -b dc=x", "ldapsearch -x -D cn=admin,dc=x -w '<redacted>' -b dc=x"),
    ("ldapmodify -xwtopsecret -f f.ldif", "ldapmodify '-xw<redacted>' -f f.ldif"),
    ("ldappasswd -x -D cn=admin -w topsecret -s topsecret uid=bob", None),
    ("smbclient //srv/share -U bob%topsecret", "smbclient //srv/share -U 'bob%<redacted>'"),
    ("smbclient //srv/share --user=bob%topsecret", "smbclient //srv/share '--user=bob%<redacted>'"),
    ("docker login -u bob -p topsecret registry", "docker login -u bob -p '<redacted>' registry"),
    ("podman --log-level debug login -ptopsecret registry", None),
    ("skopeo copy --src-creds bob:topsecret docker://a docker://b", None),
    ("redis-cli -h db1 -a topsecret ping", "redis-cli -h db1 -a '<redacted>' ping"),
    ("mongosh -u bob -p topsecret db1", "mongosh -u bob -p '<redacted>' db1"),
    ("ipmitool -I lanplus -H bmc -U admin -P topsecret power status", None),
    ("snmpget -v3 -u bob -A topsecret -X topsecret db1 sysUpTime.0", None),
    ("snmpwalk -v2c -c topsecret db1", "snmpwalk -v2c -c '<redacted>' db1"),
    ("7z x -ptopsecret a.7z", "7z x '-p<redacted>' a.7z"),
    ("unzip -P topsecret a.zip", "unzip -P '<redacted>' a.zip"),
    ("ssh-keygen -t ed25519 -N topsecret -f k", "ssh-keygen -t ed25519 -N '<redacted>' -f k"),
    ("xfreerdp /u:bob /p:topsecret /v:db1", "xfreerdp /u:bob '/p:<redacted>' /v:db1"),
    ("keytool -list -storepass topsecret -keystore k.jks", None),
    ("useradd -m -p topsecret bob", "useradd -m -p '<redacted>' bob"),
    ("htpasswd -b file bob topsecret", "htpasswd -b file bob '<redacted>'"),
    ("mokutil --generate-hash=topsecret", "mokutil '--generate-hash=<redacted>'"),
    ("wpa_passphrase ssid topsecret", "wpa_passphrase ssid '<redacted>'"),
    ("keyctl add user mykey topsecret @u", "keyctl add user mykey '<redacted>' @u"),
    ("dmsetup create c --table '0 9 crypt aes-xts-plain64 topsecret 0 /dev/sda 0'", None),
    ("nmcli device wifi connect net password topsecret", "nmcli device wifi connect net password '<redacted>'"),
    ("nmcli connection modify c wifi-sec.psk topsecret", "nmcli connection modify c wifi-sec.psk '<redacted>'"),
    ("iw dev wlan0 connect net key topsecret", "iw dev wlan0 connect net key '<redacted>'"),
    ("ip xfrm state add src ::1 dst ::1 proto esp spi 1 enc 'cbc(aes)' topsecret", None),
    ("mount -t cifs //s/x /mnt -o username=u,password=topsecret,vers=3", None),
    ("mount -o 'username=u,password=a topsecret;topsecret' //s/x /mnt", None),
    ("vault login topsecret", "vault login '<redacted>'"),
    ("sudo -u bob curl -u bob:topsecret http://h/", "sudo -u bob curl -u 'bob:<redacted>' http://h/"),
    ("timeout 5 /usr/bin/mysql -ptopsecret", "timeout 5 /usr/bin/mysql '-p<redacted>'"),
    # URLs
    ("git clone https://bob:topsecret@h/x.git", "git clone 'https://bob:<redacted>@h/x.git'"),
    ("git clone https://topsecret@h/x.git", "git clone 'https://<redacted>@h/x.git'"),
    ("psql postgres://bob:top/secret@db1/x", "psql 'postgres://bob:<redacted>@db1/x'"),
    ("curl 'https://h:8443/x?user=bob&token=topsecret&n=1#top'",
     "curl 'https://h:8443/x?user=bob&token=<redacted>&n=1#top'"),
    ("sh -c 'curl \"https://h/?api_key=topsecret&n=1\"'", "sh -c 'curl \"https://h/?api_key=<redacted>&n=1\"'"),
    ("env http_proxy=http://bob:topsecret@proxy:3128 apt update", None),
    # JSON and the like
    ("curl -d '{\"user\": \"bob\", \"password\": \"topsecret\", \"n\": 1}' http://h/",
     "curl -d '{\"user\": \"bob\", \"password\": \"<redacted>\", \"n\": 1}' http://h/"),
    ("curl -d '{\"password\":\"topsecret\",\"user\":\"bob\"}' http://h/",
     "curl -d '{\"password\":\"<redacted>\",\"user\":\"bob\"}' http://h/"),
    ("curl -d '{\"password\":\"a\\\"topsecret\",\"user\":\"bob\"}' http://h/",
     "curl -d '{\"password\":\"<redacted>\",\"user\":\"bob\"}' http://h/"),
    ("curl -d '{\"keys\": [\"topsecret\", \"topsecret\"], \"n\": 1}' http://h/",
     "curl -d '{\"keys\": <redacted>, \"n\": 1}' http://h/"),
    ("sh -c 'curl -d \"{\\\"password\\\": \\\"a\\\\\\\"topsecret\\\", \\\"n\\\": 1}\" http://h/'", None),
    ("sh -c 'curl -d {password:topsecret} http://h/'", None),
    ("python3 -c 'login(password=\"topsecret\")'", None),
    ("python3 -c 'import os; os.environ[\"TOKEN\"] = \"topsecret\"'", None),
    ("python3 -c \"x = {'password': 'topsecret'}\"", "python3 -c \"x = {'password': '<redacted>'}\""),
    ("sh -c 'echo password: topsecret > f'", None),
]  # fmt: skip


@pytest.mark.parametrize(("line", "shown"), SECRETS)
def test_arguments_when_a_known_tool_or_name_gives_a_secret_then_only_it_is_hidden(
    line: str, shown: str | None
) -> None:
    kept = redacted(*shlex.split(line))
    assert SECRET not in " ".join(kept) and REDACTED in " ".join(kept)
    if shown is not None:
        assert kept == tuple(shlex.split(shown))
    assert redact_arguments(kept, SHIPPED) == kept


ORDINARY = """
insmod /lib/modules/6.1.0/kernel/drivers/net/dummy.ko numdummies=2
insmod ./x.ko keyboard=us author=bob pinctrl=1 compass=1 spin=2 monkey=1 bypass_mode=1
modprobe -q -- fs-ext4
modprobe -b pci:v00008086d00001533sv*sd*bc*sc*i*
modprobe -a usbhid hid_generic
modprobe --set-version 6.1.0-13-amd64 --show-depends xfs
modprobe nvidia NVreg_PreserveVideoMemoryAllocations=1 NVreg_RegistryDwords=PerfLevelSrc=0x2222
modprobe of:NkeysT(null)Cgpio-keys
modprobe crypto-hmac(sha256)
modprobe platform:gpio-keys
modprobe snd_hda_intel model=auto,generic index=0,1
modprobe video report_key_events=1
modprobe sunrpc auth_hashtable_size=64
rmmod -f hello
modprobe -r --remove-holders kvm_intel
depmod -a 6.1.0-13-amd64
dkms install -m zfs -v 2.1.11 -k 6.1.0-13-amd64
dkms autoinstall --kernelver 6.1.0-13-amd64
dkms build -m nvidia-current -v 525.147.05 -k 6.1.0-13-amd64 --arch x86_64
/lib/systemd/systemd-modules-load
/lib/systemd/systemd-udevd --daemon
/lib/systemd/systemd --system --deserialize=46
/sbin/init splash
udevadm trigger --action=add --subsystem-match=net
sshd: bob [priv]
sh -c 'insmod /opt/x.ko level=5 && dmesg | tail -n 5 > /tmp/log 2>&1'
/bin/sh -e /usr/sbin/update-initramfs -u -k all
bash -c 'for m in a b c; do modprobe "$m" || echo "no $m"; done'
bash -c "awk '{ print $1 }' /proc/modules | sort -u"
mount -t tmpfs -o size=10m,mode=0755 none /mnt
iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
docker run -p 8080:80 -u 1000:1000 -v /a:/b img:tag
curl -o out -L http://127.0.0.1:10069/metrics
curl http://h:8443/a?b=c&d=e
ssh -p 22 -o StrictHostKeyChecking=no root@db1 uptime
mysql -p db
ldapsearch -x -W -D cn=admin,dc=x -b dc=x
openssl rsa -in k.pem -passin file:/etc/pw -out n.pem
docker login --password-stdin registry
rsync -a host:/src/ /dst/
make -C /lib/modules/6.1.0/build M=/src modules
virsh start vm1
qemu-system-x86_64 -device virtio-net-pci,netdev=n0 -netdev user,id=n0
sed -i s/a=b/c=d/ file
echo 'it'
grep -r "don't" /etc
[ -f /etc/x ]
python3 -m http.server --bind 127.0.0.1
git clone git@github.com:a/b.git
git clone ssh://git@h:2222/a/b.git
skopeo copy docker://nginx:1.25 dir:/x
find / -name *.ko ( -newer x -o -size +1k )
date +%H:%M:%S
""".strip().splitlines()


@pytest.mark.parametrize("line", ORDINARY)
def test_arguments_when_ordinary_then_whole(line: str) -> None:
    arguments = tuple(shlex.split(line)) if '"' not in line or "'" not in line else tuple(line.split())
    assert redact_arguments(arguments, SHIPPED) == arguments


def test_arguments_when_own_settings_then_they_decide() -> None:
    names = SecretNames(redact=("serial*", "wifi.opaque"), allow=("serial_port",))
    line = ("modprobe", "wifi", "opaque=1", "psk=2", "serial_number=3", "serial_port=4")
    assert redact_arguments(line, names) == (
        "modprobe", "wifi", f"opaque={REDACTED}", "psk=2", f"serial_number={REDACTED}", "serial_port=4",
    )  # fmt: skip
    assert redact_arguments(("insmod", "/opt/wifi.ko.xz", "opaque=1"), names)[2] == f"opaque={REDACTED}"
    assert redact_arguments(("insmod", "/opt/eth.ko", "opaque=1"), names)[2] == "opaque=1"
    assert redact_text("quiet wifi.opaque=1 x.opaque=2", names) == f"quiet wifi.opaque={REDACTED} x.opaque=2"


def test_arguments_when_a_name_is_empty_or_alone_then_nothing_is_hidden() -> None:
    for line in (("insmod", "x.ko", "psk="), ("tool", "--token"), ("curl", "-u"), ("sh", "-c", ""), (), ("",)):
        assert redact_arguments(line, SHIPPED) == line


SECRETS_OF_ANY_FORM = st.text("abcdefgXYZ0123456789._/+-~^%,*!?", min_size=6, max_size=20).map(lambda text: "S3" + text)
TEXTS = st.text("abcdefgh-_.,/0123456789", max_size=8).map(lambda text: "w" + text)
QUIET = st.lists(TEXTS | st.builds("{}={}".format, st.sampled_from(["level", "mode", "keyboard"]), TEXTS), max_size=3)
NAMES = st.sampled_from(
    ["psk", "wep_key1", "apiKey", "password", "DB_PASSWORD", "auth", "pin", "hmac", "wifi.psk", "client_secret"]
)


def quoted(text: str) -> st.SearchStrategy[str]:
    """Ways in which a shell's user writes one word."""
    ways = [shlex.quote(text), "'" + text.replace("'", "'\\''") + "'"]
    ways.append('"' + "".join("\\" + char if char in '"\\$`' else char for char in text) + '"')
    ways.append("".join(char if char.isalnum() else "\\" + char for char in text))
    half = len(text) // 2
    ways.append(shlex.quote(text[:half]) + '"' + "".join("\\" + c if c in '"\\$`' else c for c in text[half:]) + '"')
    return st.sampled_from(ways)


@st.composite
def commands(draw: st.DrawFn) -> tuple[list[str], str]:
    """The words of a command with a secret in one of them."""
    secret = draw(SECRETS_OF_ANY_FORM)
    name = draw(NAMES)
    spaced = draw(st.sampled_from([secret, f"{secret[:3]} {secret}"]))
    words = draw(
        st.sampled_from([
            ["insmod", "x.ko", f"{name}={spaced}"],
            ["env", f"{name}={spaced}", "cmd"],
            ["tool", f"--{name}={spaced}"],
            ["tool", f"--{name}", spaced],
            ["curl", "-u", f"bob:{spaced}", "http://h/"],
            ["curl", "-su", f"bob:{spaced}", "http://h/"],
            ["curl", "-H", f"Authorization: Bearer {secret}", "http://h/"],
            ["curl", "-d", json.dumps({"user": "bob", name: spaced, "n": 1})],
            ["curl", "-d", json.dumps({name: spaced}, separators=(",", ":"))],
            ["mount", "-o", f"user=bob,{name}={spaced},vers=3", "/mnt"],
            ["mysql", f"-p{secret}", "db"],
            ["openssl", "rsa", "-passin", f"pass:{spaced}"],
            ["smbclient", "-U", f"bob%{spaced}"],
            ["docker", "login", "-p", spaced, "h"],
            ["wpa_passphrase", "ssid", spaced],
            ["curl", f"http://h/x?n=1&{name}={secret}"],
            ["git", "clone", f"https://bob:{secret}@h/x"],
        ])
    )  # fmt: skip
    return words, secret


@st.composite
def nested(draw: st.DrawFn) -> tuple[tuple[str, ...], str]:
    """A command, as it is or as text for up to three shells within each other."""
    words, secret = draw(commands())
    for _ in range(draw(st.integers(0, 3))):
        text = " ".join([draw(quoted(word)) for word in words])
        before, after = (" ".join(map(shlex.quote, draw(QUIET))) for _ in range(2))
        text = f"cmd {before}; {text} && cmd {after}"
        words = [*draw(st.sampled_from([["sh", "-c"], ["sudo", "bash", "-xc"], ["ssh", "db1"], ["eval"]])), text]
    return tuple(words), secret


@given(nested())
@settings(max_examples=600)
def test_arguments_when_a_secret_is_planted_then_it_never_survives(planted: tuple[tuple[str, ...], str]) -> None:
    arguments, secret = planted
    kept = redact_arguments(arguments, SHIPPED)
    assert len(kept) == len(arguments)
    assert not [word for word in kept if secret in word]
    assert redact_arguments(kept, SHIPPED) == kept


@given(QUIET, st.integers(0, 3))
def test_arguments_when_no_secret_is_in_them_then_unchanged(words: list[str], depth: int) -> None:
    for _ in range(depth):
        words = ["sh", "-c", f"cmd 'a b'; {shlex.join(words)} | cmd \"it's\" $(cmd) > f 2>&1"]
    assert redact_arguments(words, SHIPPED) == tuple(words)


ANY_WORDS = st.lists(
    st.lists(
        st.sampled_from(
            ["psk=", "password", ":", "=", "'", '"', "\\", "`", "$(", ")", " ", "\n", "://", "@", "&", "#", "-u",
             "curl ", "{", "}", "[", "x", "<redacted>", "<", "Authorization:", "--token", ";", "-c",
             "sh", "é", "\udcff", "\x85"]
        ),
        max_size=14,
    ).map("".join),
    max_size=5,
)  # fmt: skip


@given(ANY_WORDS)
@settings(max_examples=1000)
def test_arguments_when_any_text_then_bounded_and_hiding_twice_changes_nothing(words: list[str]) -> None:
    kept = redact_arguments(words, SHIPPED)
    assert len(kept) == len(words)
    assert all(len(after) <= len(REDACTED) * len(before) for before, after in zip(words, kept, strict=True))
    assert redact_arguments(kept, SHIPPED) == kept
    for word in words:
        once = redact_text(word, SHIPPED)
        assert len(once) <= len(REDACTED) * len(word) and redact_text(once, SHIPPED) == once


def test_word_when_what_ends_a_value_is_hidden_too_then_all_of_the_value_is() -> None:
    # Found by fuzzing: `#` ends the value of a query, and is itself a part of the shell's word behind `&`.
    kept = redact_arguments(["modpi&pin=ad#r<ctr&&d'"], SHIPPED)
    assert kept == ("modpi&pin=<redacted>&&d'",)
    assert redact_arguments(kept, SHIPPED) == kept


def test_text_when_every_pass_would_hide_more_then_nothing_of_it_is_shown() -> None:
    with patch("kmodmon.kernel.redaction.MAX_PASSES", 1):
        assert redact_arguments(["insmod", "psk=a", ""], SHIPPED) == (REDACTED, REDACTED, "")
        assert redact_text("insmod x psk=a", SHIPPED) == REDACTED
        assert redact_text("insmod x y=a", SHIPPED) == "insmod x y=a"


QUOTES, MANY = 100_000, 20_000
HOSTILE = [
    "x" * (5 << 20), "'" * QUOTES, '"' * QUOTES, "'\"" * QUOTES, "\\" * QUOTES + "'", "$(" * QUOTES, '"$(' * MANY,
    "`" * QUOTES, "=" * QUOTES, "-" * QUOTES, "-" * QUOTES + "=", "a=" * MANY, "://" * MANY, "://a:b/" * MANY,
    ":" * MANY, '"a":' * MANY, '"key":[' * MANY, '"key":"' * MANY, '"key' + "\\" * MANY + '":', "{" * MANY,
    "a" * MANY + '"' * MANY, " " * MANY, "key= " * MANY, "key: " * MANY, "?key=&" * MANY, "#'" * MANY,
    "a\\\n" * MANY, "<redacted>" * MANY, "@" * MANY, "\"'" * MANY + "psk=topsecret", " crypt " * MANY,
    "=a " * MANY, "`psk" * MANY, "' invalid for parameter `" * MANY,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: f"{text[:8]!r}")
def test_arguments_when_hostile_then_an_end_comes(text: str) -> None:
    # A pattern that backtracks would take hours here: 100,000 squared steps.
    kept = redact_arguments(["sh", "-c", text, f"--x={text}"], SHIPPED)
    assert not any(SECRET in word for word in kept)
    assert sum(map(len, kept)) <= len(REDACTED) * (2 * len(text) + 10)
