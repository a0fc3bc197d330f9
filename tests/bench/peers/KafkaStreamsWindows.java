import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Kafka Streams: JSON records into a one-minute windowed aggregate, its changes to a topic.
 *
 * <p>Arguments: BROKER TOPIC RESULTS READINGS FOLDER memory|rocksdb. Says "begin" at the first and "end" at the last reading.
 */
public final class KafkaStreamsWindows {
    static final ObjectMapper JSON = new ObjectMapper();
    static final String[] METRICS = {"pm10", "pm25", "tsp", "noise"};
    static long expected;
    static long seen;

    /** One reading as Jackson binds it. */
    public static final class Reading {
        public String source;
        public long ts;
        public double pm10;
        public double pm25;
        public double tsp;
        public double noise;

        double metric(int number) {
            return switch (number) {
                case 0 -> pm10;
                case 1 -> pm25;
                case 2 -> tsp;
                default -> noise;
            };
        }
    }

    /** Count, then sum, minimum and maximum of each metric; kept as 104 plain bytes. */
    static final class Aggregate {
        long count;
        final double[] total = new double[METRICS.length];
        final double[] low = {Double.POSITIVE_INFINITY, Double.POSITIVE_INFINITY, Double.POSITIVE_INFINITY, Double.POSITIVE_INFINITY};
        final double[] high = {Double.NEGATIVE_INFINITY, Double.NEGATIVE_INFINITY, Double.NEGATIVE_INFINITY, Double.NEGATIVE_INFINITY};

        Aggregate add(Reading reading) {
            if (seen++ == 0) {
                say("begin");
            }
            count++;
            for (int i = 0; i < METRICS.length; i++) {
                double value = reading.metric(i);
                total[i] += value;
                low[i] = Math.min(low[i], value);
                high[i] = Math.max(high[i], value);
            }
            if (seen == expected) {
                say("end");
            }
            return this;
        }

        byte[] bytes() {
            ByteBuffer out = ByteBuffer.allocate(8 + 24 * METRICS.length).putLong(count);
            for (int i = 0; i < METRICS.length; i++) {
                out.putDouble(total[i]).putDouble(low[i]).putDouble(high[i]);
            }
            return out.array();
        }

        static Aggregate of(byte[] bytes) {
            ByteBuffer in = ByteBuffer.wrap(bytes);
            Aggregate found = new Aggregate();
            found.count = in.getLong();
            for (int i = 0; i < METRICS.length; i++) {
                found.total[i] = in.getDouble();
                found.low[i] = in.getDouble();
                found.high[i] = in.getDouble();
            }
            return found;
        }

        Map<String, Object> told(String source, long start) {
            Map<String, Object> row = new LinkedHashMap<>();
            row.put("source", source);
            row.put("start", start);
            row.put("count", count);
            for (int i = 0; i < METRICS.length; i++) {
                row.put(METRICS[i] + "_mean", total[i] / count);
                row.put(METRICS[i] + "_min", low[i]);
                row.put(METRICS[i] + "_max", high[i]);
            }
            return row;
        }
    }

    static void say(String word) {
        System.out.println("\n" + word);
        System.out.flush();
    }

    static <T> Serde<T> json(TypeReference<T> type) {
        Serializer<T> out = (topic, value) -> {
            try {
                return value == null ? null : JSON.writeValueAsBytes(value);
            } catch (java.io.IOException error) {
                throw new java.io.UncheckedIOException(error);
            }
        };
        Deserializer<T> in = (topic, bytes) -> {
            try {
                return bytes == null ? null : JSON.readValue(bytes, type);
            } catch (java.io.IOException error) {
                throw new java.io.UncheckedIOException(error);
            }
        };
        return Serdes.serdeFrom(out, in);
    }

    static Serde<Aggregate> aggregates() {
        return Serdes.serdeFrom(
            (topic, value) -> value == null ? null : value.bytes(), (topic, bytes) -> bytes == null ? null : Aggregate.of(bytes));
    }

    public static void main(String[] given) throws InterruptedException {
        expected = Long.parseLong(given[3]);
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "bench-" + given[2]);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, given[0]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, given[4]);
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
        boolean memory = given[5].equals("memory");

        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(given[1], Consumed.with(Serdes.String(), json(new TypeReference<Reading>() {}))
                .withTimestampExtractor((record, before) -> ((Reading) record.value()).ts))
            .groupByKey(Grouped.keySerde(Serdes.String()))
            .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMinutes(1), Duration.ofMinutes(1)))
            .aggregate(
                Aggregate::new,
                (source, reading, state) -> state.add(reading),
                Materialized.<String, Aggregate, WindowStore<Bytes, byte[]>>as(
                        memory ? BuiltInDslStoreSuppliers.IN_MEMORY : BuiltInDslStoreSuppliers.ROCKS_DB)
                    .withKeySerde(Serdes.String())
                    .withValueSerde(aggregates()))
            .toStream()
            .map((window, state) ->
                new KeyValue<>(window.key(), state.told(window.key(), window.window().start())))
            .to(given[2], Produced.with(Serdes.String(), json(new TypeReference<Map<String, Object>>() {})));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(5))));
        streams.start();
        Thread.sleep(600_000);
    }
}
