%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The one clock of all calls of the core, and of what is compared with them.
-module(mod_client_proxy_clock).

-export([now/0]).

%% @doc Milliseconds since the VM started. Never goes back.
-spec now() -> non_neg_integer().
now() ->
    erlang:convert_time_unit(
      erlang:monotonic_time() - erlang:system_info(start_time),
      native, millisecond).
