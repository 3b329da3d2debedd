"""How much an answer over HTTP shows."""

import enum


class Detail(enum.StrEnum):
    """The values are public: setting `web.detail`."""

    PUBLIC = "public"  # what the kernel lets every user of the host read
    FULL = "full"  # everything that kmodmon read
