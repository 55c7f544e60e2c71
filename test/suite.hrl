%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What each suite begins with: the plain proxy host, a requester, and the
%%% errors that a proxy host answers with.
-include_lib("common_test/include/ct.hrl").
-include("xmpp.hrl").

-define(P, <<"proxy.example.org">>).
-define(U, "romeo@example.org/garden").
-define(FOCUS, <<"focus.meet.example.org">>).
-define(UNAVAILABLE, {wait, 'recipient-unavailable'}).
-define(NOT_FOUND, {cancel, 'item-not-found'}).
-define(FORBIDDEN, {auth, forbidden}).
-define(NOT_ALLOWED, {cancel, 'not-allowed'}).
-define(CONSTRAINT, {wait, 'resource-constraint'}).
-define(TIMEOUT, {wait, 'remote-server-timeout'}).
