%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The web page as HTML. It is complete without its script, which draws the charts
%%% and writes what is new into the elements that have data-cell (priv/web/page.js).
-module(mod_client_proxy_web_page).

-export([virtual_hosts/1, page/2, said/3, shown/1]).

-export_type([view/0]).

-type view() :: #{server_host := binary(),
                  hosts := [mod_client_proxy_web_data:host()], hosts_left := integer(),
                  detail := mod_client_proxy_web_data:detail() | none,
                  no_detail := binary(), %% why not, or nothing
                  host := mod_client_proxy_web_data:host() | none,
                  span := pos_integer(), find := binary(), find_host := binary(),
                  token := binary()}.

-define(MANY, 10). % are looked for by their names
-define(SPANS, [{120, "2 min"}, {600, "10 min"}, {3600, "1 h"}]).
-define(CHARTS, [{requests, "Requests", "per second, by outcome"},
                 {latency, "Latency", "of answered requests"},
                 {in_flight, "In flight", "against max_pending"},
                 {share, "Shares", "who answers, of all answers"}]).

%%% Pages

%% @doc Those that the account may configure.
-spec virtual_hosts([binary()]) -> iodata().
virtual_hosts(Hosts) ->
    document("", "Client proxy", [],
             [{h1, [], "Client proxy"},
              {h2, [], "Virtual hosts"},
              {ul, [{class, "plain"}],
               [{li, [], {a, [{href, [path(Host), "/"]}], Host}} || Host <- Hosts]}]).

%% @doc What has become of a button.
-spec said(P :: binary(), Text :: binary(), IsDone :: boolean()) -> iodata().
said(P, Text, IsDone) ->
    document("../", "Client proxy", [],
             [{h1, [], "Client proxy"},
              {p, [{class, ["note lines ", case IsDone of
                                               true -> "up";
                                               false -> "down"
                                           end]}],
               Text},
              {p, [], {a, [{href, query(#{host => P})}], ["Back to ", P]}}]).

%% @doc The page of a virtual host. Charts: JSON, what the script draws in the charts at
%% once. So they have their size from the start, and the table below them does not move.
-spec page(view(), Charts :: iodata()) -> iodata().
page(#{server_host := ServerHost, detail := Detail, no_detail := NoDetail} = View,
     Charts) ->
    Title = case Detail of
                none -> ServerHost;
                #{name := P} -> P
            end,
    document("../", [Title, " - Client proxy"], [{type, "module"}],
             [{h1, [], ["Client proxy ", {small, [], ServerHost}]},
              {p, [{id, "pulse"}, {class, "pulse"}, {hidden, true}],
               [{span, [{class, "beat"}, {aria_hidden, "true"}], []},
                {span, [{id, "when"}], []}, " ",
                {button, [{type, "button"}, {id, "pause"}, {aria_pressed, "false"}],
                 "Pause"}]},
              {p, [{id, "said"}, {class, "note lines"}, {role, "status"}], []},
              hosts(View),
              {p, [{id, "no_detail"}, {class, "note down"}, {role, "status"}],
               NoDetail},
              detail(View, Charts)]).

document(Up, Title, Script, Content) ->
    mod_client_proxy_web_html:document(
      {html, [{lang, "en"}],
       [{head, [],
         [{meta, [{charset, "utf-8"}], []},
          {meta, [{name, "viewport"}, {content, "width=device-width, initial-scale=1"}],
           []},
          {meta, [{name, "color-scheme"}, {content, "light dark"}], []},
          {title, [], Title},
          {link, [{rel, "icon"}, {href, [Up, "files/icon.svg"]}], []},
          {link, [{rel, "stylesheet"}, {href, [Up, "files/page.css"]}], []},
          [{script, [{src, [Up, "files/page.js"]} | Script], []} || Script /= []]]},
        {body, [], {main, [], Content}}]}).

%% @doc Which parts of the page are seen, by their ids: those that come and go while it
%% is open. A part that is not named stays as it is.
-spec shown(view()) -> #{atom() => boolean()}.
shown(#{hosts := Hosts, hosts_left := Left, find_host := FindHost, find := Find,
        detail := Detail}) ->
    Count = length(Hosts) + Left,
    NoHosts = Count == 0 andalso FindHost == <<>>,
    %% one alone is shown below the list
    IsOnly = Count == 1 andalso FindHost == <<>> andalso Detail /= none,
    maps:merge(#{no_hosts => NoHosts, list => not (NoHosts orelse IsOnly),
                 find_host_form => Count > ?MANY orelse FindHost /= <<>>},
               case Detail of
                   none -> #{};
                   #{all := All} -> #{find_form => All > ?MANY orelse Find /= <<>>}
               end).

part(Id, View) ->
    [{id, atom_to_list(Id)}, {hidden, not maps:get(Id, shown(View))}].

%%% The list of proxy hosts

hosts(#{hosts := Hosts, hosts_left := Left, find_host := Find, host := Host} = View) ->
    [{p, [{class, "note"} | part(no_hosts, View)],
      "This virtual host has no proxy host. They are configured in ejabberd.yml, below "
      "mod_client_proxy."},
     {section, [{aria_labelledby, "hosts"} | part(list, View)],
      [{h2, [{id, "hosts"}], "Proxy hosts"},
       find("find_host", "Find a proxy host", Find, [], part(find_host_form, View)),
       hosts_table(Hosts, Host),
       {template, [{id, "host-row"}], host_row(blank_host(), none)},
       {p, [{data_cell, "hosts_left"}, {hidden, Left == 0}], hosts_left(Left)}]}].

hosts_table(Hosts, Host) ->
    {'div', [{class, "scroll"}, {tabindex, "0"}, {role, "region"},
             {aria_labelledby, "hosts"}],
     {table, [],
      [{thead, [], {tr, [], [{th, [{scope, "col"}], Name}
                             || Name <- ["Name", "State"]] ++
                       [{th, [{scope, "col"}, {class, "number"}], Name}
                        || Name <- ["Resources", "In flight", "Requests",
                                    "Per second", "Failed"]]}},
       {tbody, [{id, "host-rows"}], [host_row(H, Host) || H <- Hosts]}]}}.

blank_host() ->
    #{name => <<>>, word => <<"up">>, text => <<>>, endpoints => none, pending => none,
      requests => none, failed => none}.

hosts_left(Left) ->
    [integer_to_binary(Left), " more are not shown: find them by their names."].

host_row(#{name := P, word := Word, text := Text, endpoints := Endpoints,
           pending := Pending, requests := Requests, failed := Failed}, Host) ->
    {tr, [{data_key, P}],
     [{th, [{scope, "row"}],
       {a, [{href, query(#{host => P})},
            {aria_current, case Host of #{name := P} -> "true"; _ -> false end}], P}},
      {td, [], state(Word, Text)},
      number("endpoints", Endpoints), number("pending", Pending),
      number("requests", Requests), number("rate", none), number("failed", Failed)]}.

%%% One proxy host

detail(#{detail := none}, _Charts) ->
    [];
detail(#{host := #{word := Word, text := Text, carrier := Carrier, targets := Targets,
                   pending := Pending, missing := MissingNodes},
         detail := #{name := P, limit := Limit, missing := Missing} = Detail,
         span := Span, find := Find, token := Token} = View, Charts) ->
    {section, [{id, "detail"}, {aria_labelledby, "name"}, {data_host, P},
               {data_span, integer_to_binary(Span)}],
     [{h2, [{id, "name"}], P},
      {p, [{class, ["note ", Word]}, {id, "state"}], state(Word, Text)},
      {p, [{class, "note down"}, {data_cell, "missing"},
           {hidden, MissingNodes ++ Missing == []}],
       missing(lists:usort(MissingNodes ++ Missing))},
      {dl, [{class, "facts"}],
       [fact("Target", "targets", Targets),
        fact("Carrier", "carrier", Carrier),
        fact("In flight", "flight", [integer_to_binary(Pending), " of ",
                                     integer_to_binary(Limit)])]},
      charts(P, Span, Find, Charts),
      rows(Detail, part(find_form, View), Find, Span, Token)]}.

missing(Nodes) ->
    ["Not in these numbers, for they do not answer: ", lists:join(", ", Nodes)].

fact(Name, Cell, Value) ->
    {'div', [], [{dt, [], Name}, {dd, [{data_cell, Cell}], Value}]}.

%% The script draws them.
charts(P, Span, Find, Charts) ->
    {section, [{id, "charts"}, {aria_label, "Charts"}, {hidden, true},
               {data_first, Charts}],
     [{nav, [{class, "spans"}, {aria_label, "Time span of the charts"}],
       [{a, [{href, query(#{host => P, find => Find, span => integer_to_binary(S)})},
             {data_span, integer_to_binary(S)},
             {aria_current, case S of Span -> "true"; _ -> false end}], Name}
        || {S, Name} <- ?SPANS]},
      {'div', [{class, "charts"}],
       [{figure, [{id, ["chart-", atom_to_list(Id)]}],
         [{figcaption, [], [{strong, [], Name}, " ", {span, [], What}]},
          {'div', [{class, "plot"}], []},
          {ul, [{class, "legend"}], []},
          {details, [], [{summary, [], ["Numbers ", {span, [{class, "unseen"}],
                                                     ["of ", Name]}]},
                         {'div', [{class, "scroll"}], {table, [], []}}]}]}
        || {Id, Name, What} <- ?CHARTS]}]}.

%%% Its resources

rows(#{name := P, rows := Rows, sums := Sums, found := Found, left := Left, all := All,
       why := Why},
     FindForm, Find, Span, Token) ->
    {section, [{aria_labelledby, "resources"}],
     [{h2, [{id, "resources"}], ["Resources ", {small, [{data_cell, "count"}],
                                                 count(Found, All)}]},
      find("find", "Find a resource", Find,
           [{"host", P}, {"span", integer_to_binary(Span)}], FindForm),
      {p, [{class, "note down"}, {data_cell, "why"}, {hidden, Why == <<>>}], Why},
      {p, [{class, "note"}, {data_cell, "none"}, {hidden, All > 0 orelse Why /= <<>>}],
       "No resource of the target is online. Log in with the account of the target: it "
       "is a resource then, unless the option resources says otherwise."},
      %% The key Enter at a mark presses the first button of the form, which would be
      %% that of the first row. (Browsers pass over one that is disabled or hidden.)
      {button, [{type, "submit"}, {form, "act"}, {class, "unseen"}, {tabindex, "-1"},
                {aria_hidden, "true"}], []},
      {'div', [{class, "scroll"}, {tabindex, "0"}, {role, "region"},
               {aria_labelledby, "resources"}],
       {table, [{class, "resources"}],
        [{thead, [],
          {tr, [], [{td, [], {input, [{type, "checkbox"}, {id, "mark_all"},
                                      {hidden, true},
                                      {aria_label, "Mark all that are shown"}], []}},
                    {th, [{scope, "col"}], "Resource"},
                    {th, [{scope, "col"}], "State"}]
           ++ [{th, [{scope, "col"}, {class, "number"}, {title, Title}], Name}
               || {Name, Title} <- [{"In flight", "requests to it, and of its own"},
                                    {"Per second", "answers to requests"},
                                    {"Failed", "share of the requests to it"},
                                    {"Half within", "of its answers since it came"},
                                    {"99 % within", "of its answers since it came"},
                                    {"Answered", "requests since it came"},
                                    {"Weight", "per cent"}]]
           ++ [{th, [{scope, "col"}], {span, [{class, "unseen"}], "Action"}}]}},
         {tbody, [{id, "rows"}], [row(Row) || Row <- Rows]},
         {tfoot, [{id, "sums"}, {hidden, All < 2}], sums(Sums)}]}},
      {template, [{id, "row"}], row(blank())},
      {form, [{method, "post"}, {id, "act"}],
       [hidden("host", P), hidden("token", Token),
        {p, [{class, "marked"}, {hidden, Rows == []}],
         ["Marked resources: ",
          [[{button, [{type, "submit"}, {name, Name}, {value, "marked"}],
             [Label, {span, [{class, "unseen"}], " the marked resources"}]}, " "]
           || {Name, Label} <- [{"drain", "Drain"}, {"undrain", "Undrain"}]],
          {a, [{href, ["./csv?", uri_string:compose_query([{"host", P}])]}],
           "All as CSV"}]}]},
      {p, [{data_cell, "left"}, {hidden, Left == 0}],
       [integer_to_binary(Left), " more are not shown. client_proxy_endpoints shows "
        "all."]}]}.

count(All, All) -> integer_to_binary(All);
count(Found, All) -> [integer_to_binary(Found), " of ", integer_to_binary(All)].

blank() ->
    #{jid => <<>>, name => <<>>, shown => <<>>, word => <<"up">>, state => <<>>,
      lasts => <<>>, is_drained => false, requests => 0, outbound => 0,
      answered => 0, failed => 0,
      weight => 100, p50 => null, p99 => null}.

row(#{jid := Jid, name := Name, shown := Shown, word := Word, state := State,
      lasts := Lasts, is_drained := IsDrained, requests := Requests,
      outbound := Outbound, answered := Answered, failed := Failed, weight := Weight,
      p50 := P50, p99 := P99}) ->
    {Act, Label} = case IsDrained of
                       true -> {"undrain", "Undrain"};
                       false -> {"drain", "Drain"}
                   end,
    {tr, [{data_key, Jid}],
     [{td, [{class, "mark"}],
       {input, [{type, "checkbox"}, {form, "act"}, {name, "jid"}, {value, Jid},
                {aria_label, ["Mark ", Name]}], []}},
      {th, [{scope, "row"}], {span, [{data_cell, "name"}, {title, Shown}], Name}},
      {td, [], [state(Word, State), " ", {small, [{data_cell, "lasts"}], Lasts}]},
      numbers(Requests, Outbound, Answered, Failed, P50, P99), number("weight", Weight),
      {td, [], {button, [{type, "submit"}, {form, "act"}, {name, Act}, {value, Jid}],
                [Label, {span, [{class, "unseen"}], [" ", Name]}]}}]}.

numbers(Requests, Outbound, Answered, Failed, P50, P99) ->
    [{td, [{class, "number"}, {data_label, "In flight"}],
      [{span, [{data_cell, "requests"}], integer_to_binary(Requests)},
       {small, [], [" + ", {span, [{data_cell, "outbound"}],
                            integer_to_binary(Outbound)}]}]},
     number("rate", none), percent(Failed, Answered), ms("p50", P50), ms("p99", P99),
     number("answered", Answered)].

sums(#{requests := Requests, outbound := Outbound, answered := Answered,
       failed := Failed, p50 := P50, p99 := P99}) ->
    {tr, [], [{td, [], []}, {th, [{scope, "row"}, {colspan, "2"}], "All resources"},
              numbers(Requests, Outbound, Answered, Failed, P50, P99),
              {td, [], []}, {td, [], []}]}.

percent(0, 0) -> number("failed", none);
percent(Failed, Answered) ->
    cell("failed",
         [float_to_binary(100 * Failed / (Failed + Answered), [{decimals, 1}]), " %"]).

%%% Parts

state(Word, Text) ->
    {span, [{class, ["state ", Word]}, {data_cell, "state"}], Text}.

ms(Cell, null) -> number(Cell, none);
ms(Cell, Ms) -> cell(Cell, [integer_to_binary(round(Ms)), " ms"]).

number(Cell, null) -> number(Cell, none);
number(Cell, none) -> cell(Cell, <<"–"/utf8>>);
number(Cell, Number) -> cell(Cell, integer_to_binary(Number)).

%% On a narrow screen there is no head, so each cell says what it is.
cell(Cell, Text) ->
    {td, [{class, "number"}, {data_label, label(Cell)}],
     {span, [{data_cell, Cell}], Text}}.

label("endpoints") -> "Resources";
label("pending") -> "In flight";
label("requests") -> "Requests";
label("rate") -> "Per second";
label("failed") -> "Failed";
label("p50") -> "Half within";
label("p99") -> "99 % within";
label("answered") -> "Answered";
label("weight") -> "Weight".

find(Name, Label, Find, Fixed, Part) ->
    {form, [{class, "find"}, {role, "search"} | Part],
     [{label, [{for, Name}], Label}, " ",
      {input, [{type, "search"}, {id, Name}, {name, Name}, {value, Find},
               {maxlength, "100"}], []},
      [hidden(N, V) || {N, V} <- Fixed],
      " ", {button, [{type, "submit"}], "Find"}]}.

hidden(Name, Value) ->
    {input, [{type, "hidden"}, {name, Name}, {value, Value}], []}.

%% Only what is not as it is by itself.
query(Query) ->
    ["./?", uri_string:compose_query([{atom_to_binary(Name), iolist_to_binary(Value)}
                                      || {Name, Value} <- maps:to_list(Query),
                                         Value /= <<>>])].

path(Text) ->
    uri_string:quote(Text).
