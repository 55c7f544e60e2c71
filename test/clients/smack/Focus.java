// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.reflect.Field;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.jivesoftware.smack.ConnectionConfiguration.SecurityMode;
import org.jivesoftware.smack.ConnectionListener;
import org.jivesoftware.smack.ReconnectionManager;
import org.jivesoftware.smack.SASLAuthentication;
import org.jivesoftware.smack.SmackConfiguration;
import org.jivesoftware.smack.XMPPConnection;
import org.jivesoftware.smack.iqrequest.AbstractIqRequestHandler;
import org.jivesoftware.smack.iqrequest.IQRequestHandler;
import org.jivesoftware.smack.packet.IQ;
import org.jivesoftware.smack.packet.XmlEnvironment;
import org.jivesoftware.smack.parsing.ExceptionLoggingCallback;
import org.jivesoftware.smack.provider.IQProvider;
import org.jivesoftware.smack.provider.ProviderManager;
import org.jivesoftware.smack.tcp.XMPPTCPConnection;
import org.jivesoftware.smack.tcp.XMPPTCPConnectionConfiguration;
import org.jivesoftware.smack.util.ParserUtils;
import org.jivesoftware.smack.xml.XmlPullParser;
import org.jivesoftware.smack.xml.XmlPullParserException;
import org.jivesoftware.smackx.bytestreams.socks5.Socks5Proxy;
import org.jivesoftware.smackx.caps.EntityCapsManager;
import org.jivesoftware.smackx.disco.ServiceDiscoveryManager;
import org.jxmpp.JxmppContext;
import org.jxmpp.jid.EntityFullJid;
import org.jxmpp.jid.Jid;
import org.jxmpp.jid.impl.JidCreate;
import org.jxmpp.stringprep.XmppStringprepException;
import org.jxmpp.stringprep.rocksxmppprecis.RocksXmppPrecisStringprep;

/**
 * An instance of Jicofo as far as Smack goes: logs in, comes back and answers just as
 * Jicofo does, with Smack's settings as Jicofo sets them. Held by puppet.erl as
 * puppet.py is:
 *
 * <pre>focus JID PASSWORD HOST PORT</pre>
 *
 * Its orders: `hold` (answers are kept), `release`, `cut` (the connection is reset; Smack
 * is not told) and `quit`. It says `ready JID`, `held N` (how many answers are kept),
 * `released`, `resumed JID`, `anew JID` (back without what it had) and `failed WHY`.
 */
public final class Focus {
    static final String NAMESPACE = "http://jitsi.org/protocol/focus";

    /** A request, or the answer to it, which tells of the request what Smack made of it. */
    static final class Conference extends IQ {
        private final String room;
        private String servedBy;
        private String asked;
        private String guest;

        Conference(String room) {
            super("conference", NAMESPACE);
            this.room = room;
        }

        @Override
        protected IQChildElementXmlStringBuilder getIQChildElementBuilder(
                IQChildElementXmlStringBuilder xml) {
            xml.optAttribute("room", room).attribute("ready", "true");
            xml.optAttribute("served-by", servedBy);
            xml.optAttribute("asked-as", asked).optAttribute("guest", guest);
            xml.setEmptyElement();
            return xml;
        }
    }

    private final ExecutorService pool = Executors.newCachedThreadPool();
    private final List<Conference> kept = new ArrayList<>();
    private final XMPPTCPConnection connection;
    private boolean holds;

    static synchronized void say(String line) {
        System.out.println(line);
    }

    /**
     * As initializeSmack() of Jicofo and Smack.initialize() of its library. (Their
     * stringprep also takes `_` in domains.)
     */
    static void initialize() throws Exception {
        JidCreate.from("example"); // loads what would set the default again
        JxmppContext.setDefaultXmppStringprep(RocksXmppPrecisStringprep.INSTANCE);
        SmackConfiguration.setDefaultParsingExceptionCallback(new ExceptionLoggingCallback());
        Socks5Proxy.setLocalSocks5ProxyEnabled(false);
        EntityCapsManager.setDefaultEntityNode("http://jitsi.org/jicofo");
        SmackConfiguration.setDefaultReplyTimeout(15000);
        ReconnectionManager.setEnabledPerDefault(true);
        ReconnectionManager.setDefaultFixedDelay(2);
        SASLAuthentication.unregisterSASLMechanism(
                "org.jivesoftware.smack.sasl.javax.SASLGSSAPIMechanism");
        XMPPTCPConnection.setUseStreamManagementResumptionDefault(true);
        XMPPTCPConnection.setUseStreamManagementDefault(true);
        ProviderManager.addIQProvider("conference", NAMESPACE, new IQProvider<Conference>() {
            @Override
            public Conference parse(XmlPullParser parser, int depth, XmlEnvironment outer)
                    throws XmlPullParserException, IOException {
                String room = parser.getAttributeValue("", "room");
                ParserUtils.forwardToEndTagOfDepth(parser, depth);
                return new Conference(room);
            }
        });
    }

    /** As createXmppConnection() of Jicofo. */
    Focus(EntityFullJid jid, String password, String host, int port) throws Exception {
        connection = new XMPPTCPConnection(XMPPTCPConnectionConfiguration.builder()
                .setHost(host).setPort(port).setXmppDomain(jid.asDomainBareJid())
                .setSecurityMode(SecurityMode.ifpossible).build());
        ServiceDiscoveryManager.getInstanceFor(connection)
                .addFeature("https://jitsi.org/meet/jicofo/terminate-restart");
        EntityCapsManager.getInstanceFor(connection).enableEntityCaps();
        connection.registerIQRequestHandler(new AbstractIqRequestHandler(
                "conference", NAMESPACE, IQ.Type.set, IQRequestHandler.Mode.sync) {
            @Override
            public IQ handleIQRequest(IQ request) {
                pool.execute(() -> answer(conference((Conference) request)));
                return null;
            }
        });
        connection.connect();
        connection.login(jid.getLocalpart().toString(), password, jid.getResourcepart());
        connection.addConnectionListener(new ConnectionListener() {
            @Override
            public void authenticated(XMPPConnection back, boolean isResumed) {
                say((isResumed ? "resumed " : "anew ") + back.getUser());
            }
        });
        say("ready " + connection.getUser());
    }

    /** As ConferenceIqHandler of Jicofo: from whom it is, and where the answer goes. */
    Conference conference(Conference request) {
        Conference answer = new Conference(request.room);
        answer.setType(IQ.Type.result);
        answer.setStanzaId(request.getStanzaId());
        answer.setFrom(request.getTo());
        answer.setTo(request.getFrom());
        answer.servedBy = connection.getUser().getResourcepart().toString();
        answer.asked = request.getFrom().toString();
        answer.guest = guest(request.getFrom()).toString();
        return answer;
    }

    /** As parseJidFromClientProxyJid() of Jicofo. */
    static Jid guest(Jid from) {
        try {
            return JidCreate.from(from.getResourceOrEmpty().toString());
        } catch (XmppStringprepException error) {
            return from;
        }
    }

    synchronized void answer(Conference conference) {
        if (holds) {
            kept.add(conference);
            say("held " + kept.size());
            return;
        }
        try {
            connection.sendStanza(conference);
        } catch (Exception error) {
            say("failed " + error);
        }
    }

    synchronized void hold(boolean holds) {
        this.holds = holds;
        kept.forEach(this::answer);
        kept.clear();
        say(holds ? "holds" : "released");
    }

    /** Smack itself closes no connection without a word. */
    void cut() throws Exception {
        Field field = XMPPTCPConnection.class.getDeclaredField("socket");
        field.setAccessible(true);
        Socket socket = (Socket) field.get(connection);
        socket.setSoLinger(true, 0);
        socket.close();
    }

    public static void main(String[] arguments) throws Exception {
        initialize();
        Focus focus = new Focus(JidCreate.entityFullFrom(arguments[0]), arguments[1],
                arguments[2], Integer.parseInt(arguments[3]));
        BufferedReader orders = new BufferedReader(
                new InputStreamReader(System.in, StandardCharsets.UTF_8));
        String order;
        while ((order = orders.readLine()) != null && !order.equals("quit")) {
            switch (order) {
                case "hold": focus.hold(true); break;
                case "release": focus.hold(false); break;
                case "cut": focus.cut(); break;
                default: say("failed no such order: " + order);
            }
        }
        focus.connection.disconnect();
        System.exit(0);
    }
}
