# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
#
# The warnings that all C of the project is free of; WERROR=1 makes sure.
WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
    -Wmissing-prototypes -Wvla -Wformat=2 -Wundef -Wcast-qual -Wwrite-strings \
    -Wswitch-enum $(if $(WERROR),-Werror)
