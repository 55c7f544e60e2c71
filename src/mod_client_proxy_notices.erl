%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the log says of the targets of a proxy host: what is wrong, and how it is
%%% mended.
-module(mod_client_proxy_notices).

-export([log/5]).

-export_type([notice/0, who/0]).

-include("logger.hrl").

-type notice() :: mod_client_proxy_complaints:complaint()
                | silent_server | replaced
                | {no_room, pos_integer()}   %% max_endpoints
                | {not_taken, atom()}.       %% an error of the core
%% An account, one of its sessions, or (with no user) a domain.
-type who() :: mod_client_proxy_sessions:us() | mod_client_proxy_sessions:usr().

%% @doc Writes it, unless there was much of its kind lately, and whether it did.
-spec log(notice(), mod_client_proxy_options:proxy_host(), who(),
          mod_client_proxy_log:limiter(), integer()) ->
          {written | left_out, mod_client_proxy_log:limiter()}.
log(Notice, P, Who, Limiter, Now) ->
    Kind = if is_tuple(Notice) -> element(1, Notice); true -> Notice end,
    case mod_client_proxy_log:admit({Kind, account(Who)}, Limiter, Now) of
        {omit, Limiter1} ->
            {left_out, Limiter1};
        {Whether, LeftOut, Limiter1} ->
            {Level, Format, Args} = line(Notice, P, shown(Who)),
            write(Level, [io_lib:format(Format, Args), left_out(LeftOut),
                          last(Whether)]),
            {written, Limiter1}
    end.

left_out(0) -> "";
left_out(N) -> io_lib:format(" (~B such lines were left out)", [N]).

last(last) -> " (No more is logged of this proxy host's targets in this hour)";
last(write) -> "".

write(warning, Text) -> ?WARNING_MSG("~ts", [Text]);
write(error, Text) -> ?ERROR_MSG("~ts", [Text]);
write(info, Text) -> ?INFO_MSG("~ts", [Text]).

account({U, S, _}) -> {U, S};
account(US) -> US.

shown({<<>>, S}) -> mod_client_proxy_log:text(S);
shown({U, S}) -> mod_client_proxy_log:text(<<U/binary, $@, S/binary>>);
shown({U, S, R}) ->
    mod_client_proxy_log:text(<<U/binary, $@, S/binary, $/, R/binary>>).

line(silent, P, Target) ->
    {warning,
     "Nothing says yet that target ~ts has accepted proxy host ~ts, so none of "
     "its resources is known. Remedy: accept the contact ~ts in a client of "
     "that account, or put it into its roster on its server with subscription "
     "'from'. Where it has been accepted already, the other server cannot "
     "reach ~ts: that name must be in DNS, and in the certificate here. It is "
     "asked again from time to time", [Target, P, P, P]};
line(directed, P, Target) ->
    {warning,
     "Nothing says yet that target ~ts has accepted proxy host ~ts, so only "
     "those of its resources are known that show themselves. Remedy: accept "
     "the contact ~ts in a client of that account. It is asked again from time "
     "to time", [Target, P, P]};
line(refused, P, Target) ->
    {warning,
     "Target ~ts has refused or withdrawn the subscription of proxy host ~ts, "
     "so its resources are not used. Remedy: accept the contact ~ts in a "
     "client of that account. It is asked again from time to time",
     [Target, P, P]};
line({failed, Reason, Text}, P, Target) ->
    {warning,
     "Proxy host ~ts cannot reach the server of its target ~ts (~ts). Remedy: "
     "~ts. It is tried again within 5 minutes, and at once when that server is "
     "heard of",
     [P, Target, mod_client_proxy_log:text(Text), remedy(Reason)]};
line({error, Text}, P, Target) ->
    {warning,
     "The server of target ~ts has sent back what proxy host ~ts asked (~ts). "
     "Remedy: see that the account exists there and that its server allows ~ts "
     "to speak to it. It is asked again from time to time",
     [Target, P, mod_client_proxy_log:text(Text), P]};
line({full, Max}, P, Target) ->
    {warning,
     "Target ~ts of proxy host ~ts has more than ~B resources online, no more "
     "are used. Remedy: a larger max_endpoints_per_target",
     [Target, P, Max]};
line(silent_server, P, Server) ->
    {warning,
     "Server ~ts does not answer: neither requests to resources of proxy host "
     "~ts nor a ping. They are not used until something comes from it",
     [Server, P]};
line(confirmed, P, Target) ->
    {info, "Target ~ts has accepted the subscription of proxy host ~ts",
     [Target, P]};
line(left, P, Target) ->
    {info, "Target ~ts does not want the presence of proxy host ~ts any more",
     [Target, P]};
line(replaced, P, Session) ->
    {warning,
     "The session ~ts behind proxy host ~ts is replaced again and again, and "
     "its requests fail each time: two clients seem to log in with the same "
     "resource. Remedy: give each of them a resource of its own",
     [Session, P]};
line({no_room, Max}, P, _) ->
    {warning,
     "Proxy host ~ts has ~B resources online, no more are used. Remedy: a "
     "larger max_endpoints", [P, Max]};
line({not_taken, Atom}, P, Session) ->
    {error, "Proxy host ~ts cannot use ~ts: ~p", [P, Session, Atom]}.

remedy(dns) ->
    "see that the name of that server is right, and in DNS";
remedy(certificate) ->
    "see that each of the two servers has a certificate for its name (this one "
        "for the name of the proxy host) that the other one trusts";
remedy(connection) ->
    "see that the server is up, and that s2s is allowed from here to there".
