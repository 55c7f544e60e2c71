%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% How metrics are written, and in which format. (That Prometheus' own tool reads it:
%%% metrics_SUITE.)
-module(mod_client_proxy_metrics_text_tests).

-include_lib("eunit/include/eunit.hrl").

-define(OPENMETRICS, "application/openmetrics-text").

a_counter_test() ->
    Counter = #{name => "a_things", type => counter, unit => none, help => "Things.",
                samples => [{[{host, <<"p">>}], 5}, {[{host, <<"q">>}], 0}]},
    ?assertEqual("# HELP a_things_total Things.\n"
                 "# TYPE a_things_total counter\n"
                 "a_things_total{host=\"p\"} 5\n"
                 "a_things_total{host=\"q\"} 0\n", written(prometheus, Counter)),
    ?assertEqual("# HELP a_things Things.\n"
                 "# TYPE a_things counter\n"
                 "a_things_total{host=\"p\"} 5\n"
                 "a_things_total{host=\"q\"} 0\n"
                 "# EOF\n", written(openmetrics, Counter)).

a_gauge_with_a_unit_test() ->
    Gauge = #{name => "a_memory_bytes", type => gauge, unit => bytes, help => "Octets.",
              samples => [{[], 7}]},
    ?assertEqual("# HELP a_memory_bytes Octets.\n"
                 "# TYPE a_memory_bytes gauge\n"
                 "a_memory_bytes 7\n", written(prometheus, Gauge)),
    ?assertEqual("# HELP a_memory_bytes Octets.\n"
                 "# TYPE a_memory_bytes gauge\n"
                 "# UNIT a_memory_bytes bytes\n"
                 "a_memory_bytes 7\n"
                 "# EOF\n", written(openmetrics, Gauge)).

a_histogram_is_in_seconds_test() ->
    Histogram = #{name => "a_seconds", type => histogram, unit => seconds, help => "T.",
                  samples => [{[{host, <<"p">>}],
                               {[{1, 2}, {1024, 3}, {131072, 3}], 4, 200000}}]},
    Buckets = "a_seconds_bucket{host=\"p\",le=\"0.001\"} 2\n"
        "a_seconds_bucket{host=\"p\",le=\"1.024\"} 3\n"
        "a_seconds_bucket{host=\"p\",le=\"131.072\"} 3\n"
        "a_seconds_bucket{host=\"p\",le=\"+Inf\"} 4\n",
    ?assertEqual("# HELP a_seconds T.\n"
                 "# TYPE a_seconds histogram\n"
                 ++ Buckets ++
                 "a_seconds_sum{host=\"p\"} 200\n"
                 "a_seconds_count{host=\"p\"} 4\n", written(prometheus, Histogram)),
    ?assertEqual("# HELP a_seconds T.\n"
                 "# TYPE a_seconds histogram\n"
                 "# UNIT a_seconds seconds\n"
                 ++ Buckets ++
                 "a_seconds_sum{host=\"p\"} 200.0\n"
                 "a_seconds_count{host=\"p\"} 4\n"
                 "# EOF\n", written(openmetrics, Histogram)).

information_test() ->
    Info = #{name => "a_build", type => info, unit => none, help => "Build.",
             samples => [{[{version, <<"1">>}], 1}]},
    ?assertEqual("# HELP a_build_info Build.\n"
                 "# TYPE a_build_info gauge\n"
                 "a_build_info{version=\"1\"} 1\n", written(prometheus, Info)),
    ?assertEqual("# HELP a_build Build.\n"
                 "# TYPE a_build info\n"
                 "a_build_info{version=\"1\"} 1\n"
                 "# EOF\n", written(openmetrics, Info)).

%% Whatever stands in a label, a line stays a line and a label a label.
labels_are_escaped_test() ->
    Text = <<"a\"} 1\nb_total{c=\"\\", 16#e9/utf8>>,
    Gauge = #{name => "a", type => gauge, unit => none, help => "x \\ \"y\"\nz",
              samples => [{[{host, Text}], 1}]},
    Line = "a{host=\"a\\\"} 1\\nb_total{c=\\\"\\\\" ++ binary_to_list(<<16#e9/utf8>>)
        ++ "\"} 1\n",
    ?assertEqual("# HELP a x \\\\ \"y\"\\nz\n# TYPE a gauge\n" ++ Line,
                 written(prometheus, Gauge)),
    ?assertEqual("# HELP a x \\\\ \\\"y\\\"\\nz\n# TYPE a gauge\n" ++ Line ++ "# EOF\n",
                 written(openmetrics, Gauge)).

what_has_no_samples_is_not_there_test() ->
    Gauge = #{name => "a", type => gauge, unit => none, help => "x", samples => []},
    ?assertEqual("", written(prometheus, Gauge)),
    ?assertEqual("# EOF\n", written(openmetrics, Gauge)).

written(Format, Family) ->
    binary_to_list(iolist_to_binary(mod_client_proxy_metrics_text:write(Format,
                                                                        [Family]))).

accept_test_() ->
    [{lists:sublist(Accept, 60),
      ?_assertEqual(Format,
                    mod_client_proxy_metrics_text:format(list_to_binary(Accept)))}
     || {Format, Accepts} <- [{openmetrics, openmetrics()}, {prometheus, prometheus()}],
        Accept <- Accepts].

openmetrics() ->
    [%% Prometheus 2.42 and 3
     ?OPENMETRICS ";version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
     "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
     ?OPENMETRICS ";version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;"
     "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
     ?OPENMETRICS, "Application/OpenMetrics-Text ; Version=\"1.0.0\"",
     ?OPENMETRICS ";q=0.5, text/plain;q=0.5", ?OPENMETRICS ";q=1.000",
     "text/plain;q=0.09," ?OPENMETRICS ";q=0.1"].

prometheus() ->
    ["", "*/*", "text/plain", "text/html,application/xhtml+xml,*/*;q=0.8",
     ?OPENMETRICS ";q=0", ?OPENMETRICS ";q=0.4,text/plain;q=0.5",
     ?OPENMETRICS ";version=2.0.0", ?OPENMETRICS ";q=-1", ?OPENMETRICS ";q=0.x",
     ?OPENMETRICS ";q=0.1234", ?OPENMETRICS ";q=", ";;,,;q=1,=", [255, 0, $;, 254],
     lists:duplicate(100000, $,) ++ ?OPENMETRICS].
